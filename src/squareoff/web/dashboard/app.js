// The page: login, then one session whose changes are drawn once a frame, once a
// second in a hidden tab. Each login has views of
// its own, which begin with empty places: nothing of a session before is shown or pressed.

import { Api, CallFailed } from "./api.js";
import { byId, setText } from "./dom.js";
import { Model } from "./model.js";
import { Session } from "./session.js";
import { AccountView } from "./views/account.js";
import { AlarmsView } from "./views/alarms.js";
import { Controls } from "./views/controls.js";
import { DetailView } from "./views/detail.js";
import { HealthView } from "./views/health.js";
import { LimitsView } from "./views/limits.js";
import { MastheadView } from "./views/masthead.js";
import { PositionsView } from "./views/positions.js";
import { RemainsView } from "./views/remains.js";

let session = null;
let seconds = null;

async function begin(api) {
  const model = new Model();
  const ours = new Session(api, model, (why) => end(why));
  await ours.start();
  session?.close(); // of a login that was sent twice
  session = ours;
  api.remember();
  show("desk");
  draw(api, model, ours);
}

function draw(api, model, ours) {
  const controls = new Controls(api, model);
  const detail = new DetailView(api, model, controls);
  const views = [
    new MastheadView(model, controls, () => end("")),
    new AccountView(model),
    new LimitsView(model),
    new PositionsView(model, controls, detail),
    detail,
    new AlarmsView(api, model, detail),
    new HealthView(model),
    new RemainsView(api, model),
  ];
  const drawChanges = () => {
    const changes = model.drain();
    for (const view of views) view.draw(changes);
  };
  const frame = () => {
    if (session !== ours) return;
    drawChanges();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  clearInterval(seconds);
  seconds = setInterval(() => {
    model.changes.second = true;
    if (document.hidden) drawChanges(); // a hidden tab has no frames, but its title is seen
  }, 1000);
}

function end(why) {
  session?.close();
  session = null;
  clearInterval(seconds);
  Api.forget();
  byId("confirm").close();
  setText(byId("login-error"), why);
  document.title = "squareoff";
  location.hash = "";
  show("login");
  byId("token").focus();
}

function show(name) {
  byId("login").hidden = name !== "login";
  byId("desk").hidden = name !== "desk";
}

async function logIn(event) {
  event.preventDefault();
  const field = byId("token");
  const token = field.value.trim();
  setText(byId("login-error"), "");
  try {
    await begin(new Api(token));
    field.value = "";
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    setText(byId("login-error"), loginText(error));
  }
}

function loginText(error) {
  if (error.status === 401) return "The engine refuses this token.";
  return error.message;
}

byId("login-form").addEventListener("submit", logIn);
const known = Api.ofThisTab();
if (known === null) show("login");
else begin(known).catch((error) => end(loginText(error)));
