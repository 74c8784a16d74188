import { maxPlannedSteps, pauseReasons, rolloutPhases } from "../../../src/api/serin/index.ts";
import { anyObject, anything, flag, list, object, oneOf, text, type Schema } from "./schema.ts";

const long = (description: string): Schema => ({ type: "integer", description, format: "int64" });
const time = (description: string): Schema => text(`${description} In RFC 3339.`);
const texts = (description: string): Schema => ({ type: "array", description, items: { type: "string" } });
/** Keeps unknown fields, because a newer engine may write more. */
const open = { "x-kubernetes-preserve-unknown-fields": true };

const phase =
  "Where the rollout is. On the way: Planned, Preflight, Progressing (the engine writes), Settling (pods and proxies follow), Judging (checks measure), Soaking (a time passes), Retiring (the old revision is removed), RollingBack. Waiting: for a freeze, another rollout or its group. Paused: for a person. Watching: for a change to roll out. Stuck: a person must act, and message says how. Completed and RolledBack: the end of a run.";

const pauseReason =
  "Why the rollout is Paused, Waiting or Stuck. Programs should read this field instead of message. Paused: approval (a step needs one), order (spec.paused), restored (the object is a copy of another). Waiting: freeze, rollout (another one comes first), limit (too many are under way), group (other members are behind), group-failed (a member was rolled back). Stuck: check or step (it failed under rollback: Manual), samples (no requests reach the canary), conflict (somebody changed what the rollout writes), undo (something blocks the rollback), spec (it does not fit the cluster), author (a right is missing), error (each attempt of the engine fails). Absent if an older engine wrote the status.";

const checks: Schema = {
  type: "array",
  description: "The checks of the step, with their latest verdicts.",
  items: object(
    {
      type: text("The type of the check."),
      name: text("The name of the check. Absent if it has none of its own."),
      verdict: oneOf(
        ["pass", "fail", "wait", "error"],
        "pass, fail, wait (more samples are needed) or error (the check got no answer).",
      ),
      evidence: text("What the check measured, for people."),
      matrix: anything("The latest result of the probe matrix. Only for type mtls-probe-matrix."),
      statistic: anything("The numbers of the check so far, with which a restarted engine continues."),
    },
    [],
    open,
  ),
};

const step: Schema = object(
  {
    id: text("The id of the step, which approvals name."),
    title: text("What the step does, for people."),
    startedAt: time("When the step began."),
    settledAt: time("When the step settled. Only later samples count."),
    settlingMs: long(
      "How long the step has taken to settle, in milliseconds. Only time in which an engine ran counts, so jumps of the clock do not matter.",
    ),
    settledForMs: long("How long ago the step settled, in milliseconds. Only time in which an engine ran counts."),
    settlingLeft: long("The smallest number of parts, such as pods and proxies, that had not settled so far."),
    stalledMs: long("How long that number has not become smaller, in milliseconds."),
    waitingSince: time("When the current wait began, or last made progress."),
    waitsUntil: time(
      "When the current wait ends: a step that has not settled fails, a check without samples makes the rollout Stuck, or a soak is over.",
    ),
    lingers: flag("true: the step only waits for open connections to end. Other rollouts do not wait for it."),
    waitingFor: texts("What has not settled yet, or blocks the step, by name."),
    checks,
  },
  [],
  { description: "The current step.", ...open },
);

const conditions: Schema = {
  type: "array",
  description:
    "Conditions for kubectl wait and for other tools. Completed, RolledBack and Stuck say how a run has ended or that it needs a person. Ready, Reconciling and Stalled are those of kstatus, which Flux and Helm read. Example: kubectl wait --for=condition=Completed canary/NAME.",
  items: object(
    {
      type: text("The name of the condition."),
      status: oneOf(["True", "False", "Unknown"], "Whether the condition holds: True, False or Unknown."),
      reason: text("The phase of the rollout."),
      message: text("An explanation for people. Empty unless the status is True."),
      lastTransitionTime: {
        type: "string",
        description: "When the status of the condition last changed.",
        format: "date-time",
      },
      observedGeneration: long("The metadata.generation of the object that the condition describes."),
    },
    ["type", "status"],
  ),
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": ["type"],
};

const meantRule: Schema = object(
  {
    route: text("The route, and which of its lists."),
    rule: long("The position in the target, counted from 0."),
    target: text("A digest of the target."),
    index: long("The position that the rule has had last."),
    from: long("The position of the first rule of known."),
    known: texts("Digests of the rule and of those around it: of their names, and of what they match."),
    length: long("The number of rules of the list."),
  },
  [],
  {
    description:
      "The rule that the position in the target means, as the engine saw it last. By it, the engine finds the rule after somebody has inserted or removed another one. Absent if the target has no position.",
    ...open,
  },
);

/** The schema of the status of a Canary and of a MeshUpgrade (`RolloutStatus`). */
export const status: Schema = object(
  {
    observedGeneration: long("The metadata.generation of the object that this status describes."),
    phase: oneOf(rolloutPhases, phase),
    progress: text("The number of finished steps and of all steps. Example: 3/7."),
    phaseSince: time("When the rollout entered its phase."),
    message: text("What the rollout does, or what it waits for and who must act, for people. The text may change."),
    pauseReason: oneOf(pauseReasons, pauseReason),
    pausedBy: text(
      "The freeze, the rollout or the group that it waits for, if the reason names one. Example: Canary shop/web.",
    ),
    startedAt: time("When the run began."),
    endedAt: time("When the run ended."),
    run: long("The number of the run, counted from 1. Each change that the rollout moves starts another run."),
    candidate: text(
      "A digest of what the run moves: the pod template of a Deployment, or else parts of the spec. Another value starts another run.",
    ),
    moves: text("What the run moves, as it was when the run began: the target, or the two revisions."),
    meantRule,
    ordersBefore: anyObject(
      "The last approval and full promotion from before this run. They do not apply to it. Absent in the first run of an object.",
    ),
    namespaces: texts("The namespaces that the rollout has reserved. Other rollouts do not change their objects."),
    weight: long("The percentage of requests that go to the canary, since the last step that has settled."),
    step,
    completedSteps: {
      type: "array",
      description: "The finished steps of the run, with their evidence.",
      items: object(
        {
          id: text("The id of the step."),
          title: text("What the step did, for people."),
          startedAt: time("When the step began."),
          endedAt: time("When the step ended."),
          evidence: texts("What the checks of the step measured, for people."),
        },
        [],
        open,
      ),
    },
    plannedSteps: list(
      object(
        {
          id: text("The id of the step, which approvals name."),
          title: text("What the step does, for people."),
          ordinal: {
            type: "integer",
            description:
              "The number of the step in the spec, to which this step belongs. The members of a group begin steps of the same number together.",
          },
          untilApproved: flag("true: the step ends only when a person approves it."),
        },
        [],
        open,
      ),
      maxPlannedSteps,
      { description: "All steps of the run as they are planned now, with those that are finished." },
    ),
    undo: anyObject(
      "The state of the rollback: when it began, what it waits for, and why it began. Kept after the rollback.",
    ),
    journaled: anyObject(
      "The objects of which the rollout's journal has entries. They show that the journal is lost if somebody deletes it.",
    ),
    lostJournal: anyObject(
      "Set if somebody has deleted the journal: when the engine found it, and the objects whose values from before the rollout it had.",
    ),
    groupRun: text(
      "The common value of the members of a group that have begun together, and are rolled back together.",
    ),
    cause: text("Why the run was rolled back, with the evidence, for people."),
    rolledBackInMs: long("How long the rollback took, in milliseconds."),
    conditions,
  },
  [],
  {
    description:
      "Where the rollout is, what it has measured, and why it has decided so. The engine writes it. serin canary status and serin upgrade status show it.",
    ...open,
  },
);
