import type { ErrorEntry } from "./error-entry.ts";

export const rolloutErrors = {
  "rollout-invalid": {
    meaning: "A rollout, check or freeze has fields that are not valid.",
    remedy: "Correct the fields that the message names.",
    silent: true,
  },
  "rollout-ended": {
    meaning: "The rollout has already ended.",
    remedy: "Do nothing, or start another rollout.",
    silent: true,
  },
  "rollout-under-way": {
    meaning: "The rollout has not ended.",
    remedy: "Wait for its end, or abort it.",
  },
  "rollout-state": {
    meaning: "A command reports the state of a rollout by its exit code.",
    remedy: "Read the state that the command printed.",
    silent: true,
  },
  "nothing-waits": {
    meaning: "The rollout does not accept this command in its present state.",
    remedy: "Look at its state with `serin canary status` or `serin upgrade status`.",
  },
  "check-unavailable": {
    meaning: "Checks cannot be run here.",
    remedy: "Run the command with a cluster.",
  },
  "unknown-user": {
    meaning: "The API server did not identify the user.",
    remedy: "Use credentials of a known user. Approvals need a name.",
  },
  "destination-not-allowed": {
    meaning: "A check or notification calls a host that is not allowed.",
    remedy: "Use a Service of the rollout's namespace, or allow the host in the engine's settings.",
  },
  "journal-full": {
    meaning: "The rollout's journal would have too many entries.",
    remedy: "Split the rollout.",
  },
  "journal-newer": {
    meaning: "A newer engine wrote the rollout's journal.",
    remedy: "Run the newer engine until the rollout has ended.",
  },
  "journal-changed": {
    meaning:
      "Somebody has removed, added or changed entries of a rollout's journal, from which its undo works, or has put back the journal of an earlier run.",
    remedy: "Restore the RolloutJournal from a backup, or run the command in the message.",
  },
  "journal-broken": {
    meaning: "Somebody has changed the entries of a rollout's journal, and one of them cannot be read.",
    remedy: "Restore the RolloutJournal from a backup, or correct the field that the message names.",
  },
  "patch-refused": {
    meaning: "The API server refused a write of the rollout engine.",
    remedy: "Read the server's message. Admission webhooks and rights are common causes.",
  },
  "author-key": {
    meaning: "The Secret with the key for authors is not usable.",
    remedy: "Delete the Secret. The engine creates a new Secret.",
  },
  "target-missing": {
    meaning: "The rollout's target, or a part of it, does not exist.",
    remedy: "Create what the message names, or correct the target.",
    silent: true,
  },
  "target-unclear": {
    meaning: "The rollout's target does not determine what to change.",
    remedy: "Change the route or the target as the message says.",
    silent: true,
  },
  "target-taken": {
    meaning: "Something else already uses the field that the rollout needs.",
    remedy: "Remove the other use, or choose another target.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
