// The page's replica of the account: a start as of one sequence number, led on by journal facts.
// Nothing here waits, calls or draws. Facts come in the order of their numbers, each once.

import { isStanding } from "./figures.js";
import { foldTracker, isTrackerFact } from "./tracker_fold.js";

const ALARM_STEPS = {
  alarm_acknowledged: (alarm, fact) => ({ ...alarm, acknowledged_at: fact.time }),
  alarm_repeated: (alarm, fact) => ({
    ...alarm, repeats: fact.data.repeats, last_raised_at: fact.time,
  }),
  alarm_cleared: (alarm, fact) => ({ ...alarm, cleared_at: fact.time }),
};
const FACTS_KEPT = 400;

export class Replica {
  /** Begin with the answer of GET /api/v1/replica. */
  constructor(start) {
    this.seq = start.seq;
    this.account = start.account_id;
    this.mode = start.mode;
    this.broker = start.broker;
    this.staleAfterSeconds = start.stale_after_seconds;
    this.budgetLimits = start.budget_limits;
    this.killSwitch = start.kill_switch;
    this.exitAll = start.exit_all;
    this.trackers = new Map(start.trackers.map((tracker) => [tracker.tracker_id, tracker]));
    this.alarms = new Map(start.alarms.map((alarm) => [alarm.id, alarm]));
    this.recent = [];
  }

  /**
   * Take one fact in. Returns "applied", "known" for one that was taken before, or "lost" where
   * the replica cannot go on by itself and has to begin anew.
   */
  apply(fact) {
    if (fact.seq <= this.seq) return "known";
    if (fact.seq !== this.seq + 1) return "lost";
    if (!this.#fold(fact)) return "lost";
    this.seq = fact.seq;
    this.recent.push(fact);
    if (this.recent.length > FACTS_KEPT) this.recent.shift();
    return "applied";
  }

  #fold(fact) {
    if (isTrackerFact(fact.kind)) return this.#foldTracker(fact);
    if (Object.hasOwn(ALARM_STEPS, fact.kind)) return this.#foldAlarm(fact);
    return this.#foldAccount(fact);
  }

  #foldTracker(fact) {
    const known = this.trackers.get(fact.tracker_id) ?? null;
    if (known === null && fact.kind !== "tracker_opened") return false;
    this.trackers.set(fact.tracker_id, foldTracker(known, fact));
    return true;
  }

  #foldAlarm(fact) {
    const alarm = this.alarms.get(fact.data.alarm_seq);
    if (alarm) this.alarms.set(alarm.id, ALARM_STEPS[fact.kind](alarm, fact));
    return true; // an alarm of an earlier day is not shown
  }

  /** A repeat of one that stands unseen is counted there, as in the engine's list. */
  #raise(fact) {
    const { severity, code, message } = fact.data;
    const tracker = fact.tracker_id ?? null;
    const standing = [...this.alarms.values()].find(
      (alarm) =>
        isStanding(alarm) && alarm.code === code && (alarm.tracker_id ?? null) === tracker &&
        (tracker !== null || alarm.message === message),
    );
    if (standing) {
      this.alarms.set(standing.id, {
        ...standing, message, repeats: standing.repeats + 1, last_raised_at: fact.time,
        severity: severity === "critical" ? severity : standing.severity,
      });
      return;
    }
    this.alarms.set(fact.seq, {
      id: fact.seq, severity, code, message, tracker_id: tracker, raised_at: fact.time,
      acknowledged_at: null, repeats: 0, last_raised_at: null, cleared_at: null,
    });
  }

  #foldAccount(fact) {
    const data = fact.data;
    switch (fact.kind) {
      case "alarm_raised":
        this.#raise(fact);
        return true;
      case "kill_switch_set":
        this.killSwitch = { active: data.active, level: data.level, reason: data.reason };
        return true;
      case "exit_all_asked":
        this.exitAll = {
          operation_id: data.operation_id, reason: data.reason, lock_account: data.lock_account,
          asked_at: fact.time, outcome: "running", lock_outcome: "", note: "", ended_at: null,
          intraday_only: data.intraday_only,
        };
        return true;
      case "exit_all_ended":
        this.exitAll = {
          ...this.exitAll, outcome: data.outcome, note: data.text, ended_at: fact.time,
        };
        return true;
      case "broker_lock_sent":
        this.exitAll = { ...this.exitAll, lock_outcome: "sent" };
        return true;
      case "broker_lock_answered":
        this.exitAll = { ...this.exitAll, lock_outcome: data.outcome, note: data.text };
        return true;
      case "account_peak_reached":
      case "account_rule_fired":
      case "account_taken":
      case "books_reconciled":
      case "day_range_noted":
      case "caller_seen":
      case "calls_refused":
      case "command_answered":
      case "command_asked":
      case "engine_started":
      case "token_replaced":
        return true; // shown by nothing here, or told by the engine's status
      default:
        return false; // a newer engine's fact: only it knows what follows
    }
  }
}
