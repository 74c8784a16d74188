// Rounds of one Canary against an API server in memory, for the tests of rounds.
import { silentLogger, transientError } from "../../../base/index.ts";
import { canaryKind, type JournalEntry, type RolloutStatus } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { StoredJournal } from "../../act/journal-store.ts";
import { initialStatus, type Contender, type Decision } from "../../decide/index.ts";
import type { LostMove } from "../../observe/lost-journal/lost-values.ts";
import { unplannedChange, type Plan } from "../planner.ts";
import { parseRollout, type Rollout } from "../rollout-object.ts";
import { RolloutRounds } from "../rollout-rounds.ts";
import { RoundBoard } from "../round-board.ts";
import type { RoundServices } from "../round.ts";

export const underWay: RolloutStatus = {
  ...initialStatus,
  phase: "Progressing",
  message: "weight 10",
  startedAt: "2026-01-01T00:00:00Z",
  run: 1,
};

/** A member of the same group that was rolled back. */
export const putBack: Contender = {
  key: "",
  kind: "Canary",
  namespace: "shop",
  name: "cart",
  createdAtMs: 0,
  phase: "RolledBack",
  underWay: false,
  wantsToBegin: false,
  holds: [],
  wants: [],
  target: "HTTPRoute shop/cart",
  group: "g",
  groupRun: "r",
  lingers: false,
  done: false,
};

interface Options {
  readonly busyMs?: () => number;
  readonly confirmsLead?: () => Promise<boolean>;
  readonly mayCreate?: () => Promise<boolean>;
  readonly spec?: object;
  readonly status?: RolloutStatus;
  readonly unread?: "journal" | "target";
  /** The name of the unreadable object. */
  readonly named?: () => string;
  readonly journal?: StoredJournal;
  /** Plans as the real planner does, from the journal. */
  readonly plan?: (rollout: Rollout, entries: readonly JournalEntry[]) => Plan;
  /** Gets what the planner reads of other rollouts. */
  readonly learn?: (others: readonly (readonly JournalEntry[])[]) => void;
  /** What the plan of a Canary of a Deployment shows without a journal. */
  readonly lostRun?: LostMove;
}

const unanswered = async (): Promise<boolean> => {
  throw transientError("review-failed", "the API server answered 500 to a SubjectAccessReview");
};

export const lostEntry: JournalEntry = {
  type: "field",
  step: "derived",
  object: { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", plural: "httproutes", name: "web" },
  pointer: "/spec/rules",
};

/** Rounds of one Canary. The API server writes its status, but cannot read its journal or its target. */
export function roundsOf({
  spec,
  status = underWay,
  unread = "target",
  named = () => "web",
  mayCreate = unanswered,
  busyMs,
  confirmsLead = async () => true,
  journal = { entries: [], decisions: [] },
  plan = () => ({ steps: [], change: { candidate: "v1", watched: false } }),
  learn,
  lostRun,
}: Options) {
  let [steadyMs, version] = [0, 1];
  let faulty = true;
  let lostReads = 0;
  let rightsAsked = 0;
  let object = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "web", namespace: "shop", uid: "u", generation: 2, resourceVersion: "1" },
    spec: {
      target: { httpRoute: { name: "web", stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 } } },
      steps: [{ weight: 10 }],
      ...spec,
    },
    status,
  } as unknown as Rollout;
  const decisions: Decision[] = [];
  const appended: JournalEntry[] = [];
  const board = new RoundBoard(1);
  const fail = (): never => {
    throw transientError("api-server", `get of HTTPRoute shop/${named()}: conversion webhook failed`);
  };
  const services = {
    client: {
      get: async () => {
        lostReads -= 1;
        if (lostReads >= 0) throw transientError("api-server", "get of Canary shop/web: connect ETIMEDOUT");
        return structuredClone(object);
      },
      patchMerge: async () => object,
      update: async (_kind: unknown, body: Rollout) => {
        version += 1;
        object = { ...body, metadata: { ...body.metadata, resourceVersion: String(version) } };
        return object;
      },
    } as unknown as KubeClient,
    clock: { steadyMs: () => steadyMs, nowMs: () => steadyMs },
    log: silentLogger,
    journals: {
      read: async () => (faulty && unread === "journal" ? fail() : journal),
      writeAgain: async () => undefined,
      append: async (_name: string, entries: readonly JournalEntry[]) => void appended.push(...entries),
    },
    lostValues: async () => ({ entries: [lostEntry], back: ["HTTPRoute shop/web /spec/rules"], left: [] }),
    observer: {},
    planner: {
      plan: async (
        rollout: Rollout,
        entries: readonly JournalEntry[],
        others: () => Promise<readonly (readonly JournalEntry[])[]>,
      ) => {
        learn?.(await others());
        return faulty ? fail() : plan(rollout, entries);
      },
      lostRun: async () => lostRun,
    },
    actions: {
      fence: () => undefined,
      storeDecisions: async () => undefined,
      recordCompletion: async () => undefined,
      perform: async (_rollout: Rollout, decision: Decision) => void decisions.push(decision),
    },
    metrics: { phase: () => undefined, verdicts: () => undefined, gone: () => undefined },
    confirmsLead,
    board,
    orphans: {},
    rights: {
      refusal: async () => {
        rightsAsked += 1;
        return undefined;
      },
      mayCreate,
    },
    freezes: () => [],
    watched: () => object,
    ...(busyMs === undefined ? {} : { busyMs }),
    wake: () => undefined,
  } as unknown as RoundServices;
  const rounds = new RolloutRounds(services);
  return {
    status: () => object.status ?? initialStatus,
    /** The digest of what the spec asks for. */
    candidate: () => {
      const parsed = parseRollout(object);
      return "problem" in parsed ? undefined : unplannedChange(parsed.rollout).candidate;
    },
    decisions,
    appended,
    board,
    rightsAsked: () => rightsAsked,
    version: () => version,
    recover: () => (faulty = false),
    /** Somebody deletes the Canary and makes it again before the engine looks. */
    remake: () => (object = { ...object, metadata: { ...object.metadata, uid: "second" } }),
    /** Lets the server leave the next reads of the Canary unanswered. */
    loseReads: (count: number) => (lostReads = count),
    events: () =>
      decisions.flatMap(({ actions }) => actions.flatMap((action) => (action.type === "event" ? [action.reason] : []))),
    /** Runs rounds for this many seconds, one each second. */
    run: async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        steadyMs += 1000;
        await rounds.run(canaryKind, "Canary shop/web", "shop/web").catch(() => undefined);
      }
    },
  };
}
