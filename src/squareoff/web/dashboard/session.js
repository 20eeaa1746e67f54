// One login: begins the replica, follows the stream, and begins anew where the replica is lost.

import { Replica } from "./replica.js";
import { EventStream } from "./stream.js";

const AGAIN_MS = 1000;

export class Session {
  #api;
  #model;
  #onEnded;
  #stream = null;
  #day = null;
  #isOver = false;

  /** `onEnded` is called with a sentence when the token is refused. */
  constructor(api, model, onEnded) {
    this.#api = api;
    this.#model = model;
    this.#onEnded = onEnded;
  }

  /** Read the replica and follow; raises CallFailed where the first reading fails. */
  async start() {
    const start = await this.#api.get("/replica");
    if (this.#isOver) return;
    this.#model.begin(new Replica(start));
    this.#follow();
  }

  /** End for good. */
  close() {
    this.#isOver = true;
    this.#stream?.close();
  }

  #follow() {
    const model = this.#model;
    this.#stream = new EventStream(this.#api, {
      after: () => model.replica.seq,
      open: () => model.setConnection("connected"),
      lost: (error) => this.#lost(error),
      fact: (fact) => {
        if (model.takeFact(fact) === "lost") this.#beginAnew();
      },
      live: (live) => {
        const isOther = live.status && live.status.account_id !== model.replica.account;
        const isBehind = live.head !== null && live.head < model.replica.seq;
        if (isOther || isBehind || this.#isNewDay(live.status)) this.#beginAnew();
        else model.takeLive(live);
      },
    });
    this.#stream.run();
  }

  /** What ended yesterday is no part of today's figures, nor of this page's memory. */
  #isNewDay(status) {
    const day = status?.account?.day;
    if (!day) return false;
    const isNew = this.#day !== null && day !== this.#day;
    this.#day = day;
    return isNew;
  }

  #lost(error) {
    if (error?.status === 401) {
      this.close();
      this.#onEnded("The engine refuses this token. Log in with its present one.");
      return;
    }
    this.#model.setConnection("disconnected", error?.code === "standby" ? error.message : "");
  }

  /** A closed stream says nothing more, so whatever it held back this is done once. */
  async #beginAnew() {
    this.#stream.close();
    this.#model.setConnection("behind");
    while (!this.#isOver) {
      try {
        await this.start();
        return;
      } catch (error) {
        if (this.#isOver) return;
        if (error.status === 401) return this.#lost(error);
        this.#model.setConnection("disconnected");
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}
