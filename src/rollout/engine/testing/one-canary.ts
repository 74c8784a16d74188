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
  readonly named?: () => string;
  readonly journal?: StoredJournal;
  /** Plans as the real planner does, from the journal. */
  readonly plan?: (rollout: Rollout, entries: readonly JournalEntry[]) => Plan;
  /** Receives the journals of other rollouts that the planner reads. */
  readonly learn?: (others: readonly (readonly JournalEntry[])[]) => void;
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

interface State {
  object: Rollout;
  version: number;
  steadyMs: number;
  /** Whether the server fails all reads of the journal and of the target. */
  isFaulty: boolean;
  /** How many of the next reads of the Canary the server does not answer. */
  lostReads: number;
  rightsAsked: number;
  readonly decisions: Decision[];
  readonly appended: JournalEntry[];
}

/** Rounds of one Canary. The API server stores its status, but may be unable to read its journal or its target. */
export function roundsOf(options: Options) {
  const state: State = {
    object: canaryOf(options),
    version: 1,
    steadyMs: 0,
    isFaulty: true,
    lostReads: 0,
    rightsAsked: 0,
    decisions: [],
    appended: [],
  };
  const board = new RoundBoard(1);
  const rounds = new RolloutRounds(servicesOf(options, state, board));
  return {
    board,
    decisions: state.decisions,
    appended: state.appended,
    status: () => state.object.status ?? initialStatus,
    candidate: () => {
      const parsed = parseRollout(state.object);
      return "problem" in parsed ? undefined : unplannedChange(parsed.rollout).candidate;
    },
    rightsAsked: () => state.rightsAsked,
    version: () => state.version,
    recover: () => (state.isFaulty = false),
    remake: () => (state.object = { ...state.object, metadata: { ...state.object.metadata, uid: "second" } }),
    loseReads: (count: number) => (state.lostReads = count),
    events: () =>
      state.decisions.flatMap(({ actions }) =>
        actions.flatMap((action) => (action.type === "event" ? [action.reason] : [])),
      ),
    run: async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        state.steadyMs += 1000;
        await rounds.run(canaryKind, "Canary shop/web", "shop/web").catch(() => undefined);
      }
    },
  };
}

function canaryOf({ spec, status = underWay }: Options): Rollout {
  return {
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
}

function servicesOf(options: Options, state: State, board: RoundBoard): RoundServices {
  const { busyMs, confirmsLead = async () => true, mayCreate = unanswered } = options;
  return {
    client: clientOf(state),
    clock: { steadyMs: () => state.steadyMs, nowMs: () => state.steadyMs },
    log: silentLogger,
    ...sourcesOf(options, state),
    lostValues: async () => ({ entries: [lostEntry], back: ["HTTPRoute shop/web /spec/rules"], left: [] }),
    observer: {},
    actions: {
      fence: () => undefined,
      storeDecisions: async () => undefined,
      recordCompletion: async () => undefined,
      perform: async (_rollout: Rollout, decision: Decision) => void state.decisions.push(decision),
    },
    metrics: { phase: () => undefined, verdicts: () => undefined, gone: () => undefined },
    confirmsLead,
    board,
    orphans: {},
    rights: {
      refusal: async () => {
        state.rightsAsked += 1;
        return undefined;
      },
      mayCreate,
    },
    freezes: () => [],
    watched: () => state.object,
    ...(busyMs === undefined ? {} : { busyMs }),
    wake: () => undefined,
  } as unknown as RoundServices;
}

function clientOf(state: State): KubeClient {
  return {
    get: async () => {
      state.lostReads -= 1;
      if (state.lostReads >= 0) throw transientError("api-server", "get of Canary shop/web: connect ETIMEDOUT");
      return structuredClone(state.object);
    },
    patchMerge: async () => state.object,
    update: async (_kind: unknown, body: Rollout) => {
      state.version += 1;
      state.object = { ...body, metadata: { ...body.metadata, resourceVersion: String(state.version) } };
      return state.object;
    },
  } as unknown as KubeClient;
}

function sourcesOf(options: Options, state: State): object {
  const { unread = "target", named = () => "web", learn, lostRun } = options;
  const { journal = { entries: [], decisions: [] } } = options;
  const { plan = () => ({ steps: [], change: { candidate: "v1", watched: false } }) } = options;
  const fail = (): never => {
    throw transientError("api-server", `get of HTTPRoute shop/${named()}: conversion webhook failed`);
  };
  return {
    journals: {
      read: async () => (state.isFaulty && unread === "journal" ? fail() : journal),
      refuse: () => undefined,
      writeAgain: async () => undefined,
      append: async (_name: string, entries: readonly JournalEntry[]) => void state.appended.push(...entries),
    },
    planner: {
      plan: async (
        rollout: Rollout,
        entries: readonly JournalEntry[],
        others: () => Promise<readonly (readonly JournalEntry[])[]>,
      ) => {
        learn?.(await others());
        return state.isFaulty ? fail() : plan(rollout, entries);
      },
      lostRun: async () => lostRun,
    },
  };
}
