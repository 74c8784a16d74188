import { batch, computed, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import {
  topicText,
  type Problem,
  type SourceState,
  type TopicName,
  type Topics,
  type View,
} from "../../../api/dashboard/index.ts";
import { request, RequestFailure } from "../requests.ts";
import { endSession, session } from "../session.ts";
import { LiveConnection, type LiveSource, type LiveState } from "./live-connection.ts";

type Tables<Name extends TopicName> = Topics[Name]["view"]["tables"];

/** The data of a topic. It stays while the connection is lost, and `LiveStatus` shows its age. */
export interface Live<Name extends TopicName> {
  /** The topic as the server names it. */
  readonly topic: string;
  /** The head of the newest view. Undefined before the first. */
  readonly head: ReadonlySignal<Topics[Name]["view"]["head"] | undefined>;
  /** Why the topic cannot be shown or updated now. */
  readonly problem: ReadonlySignal<Problem | undefined>;
  /** The rows by key. What has not changed is the same object as in the view before. Empty before the first view. */
  table<Table extends keyof Tables<Name>>(name: Table): ReadonlySignal<Tables<Name>[Table]>;
}

class Topic {
  readonly view: Signal<View | undefined> = signal(undefined);
  readonly problem: Signal<Problem | undefined> = signal(undefined);
  followers = 0;
  readonly live: Live<TopicName>;

  constructor(topic: string) {
    const tables = new Map<string, ReadonlySignal<object>>();
    this.live = {
      topic,
      head: computed(() => this.view.value?.head) as Live<TopicName>["head"],
      problem: this.problem,
      table: ((name: string) => {
        const table = tables.get(name) ?? computed(() => this.view.value?.tables[name] ?? noRows);
        tables.set(name, table);
        return table;
      }) as Live<TopicName>["table"],
    };
  }
}

const noRows: Readonly<Record<string, object>> = {};
/** How many views are remembered, so that they appear at once when the user returns to them. */
const maxRemembered = 12;
/** A page that is hidden for this time drops its connection. */
const hiddenMs = 60_000;

const topics = new Map<string, Topic>();
const state = signal<LiveState>({ kind: "idle" });
const sources = signal<readonly SourceState[]>([]);
const clockOffsetMs = signal(0);
const now = signal(Date.now());

export const liveState: ReadonlySignal<LiveState> = state;
export const liveSources: ReadonlySignal<readonly SourceState[]> = sources;
/** The server's time, each second. Ages are computed from it, so that a wrong clock of the browser does not matter. */
export const serverNowMs: ReadonlySignal<number> = computed(() => now.value + clockOffsetMs.value);

const connection = new LiveConnection(
  {
    open: (url) => new EventSource(new URL(url, document.baseURI)) as LiveSource,
    nowMs: () => Date.now() + clockOffsetMs.peek(),
    random: () => Math.random(),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    sessionProblem,
  },
  {
    state: (next) => {
      if (next.kind === state.peek().kind && next.kind !== "reconnecting") return;
      state.value = next;
      if (next.kind === "logged-out") endSession(next.problem);
    },
    view: (name, view) => {
      const topic = topics.get(name);
      if (topic === undefined) return;
      batch(() => {
        topic.view.value = view;
        sources.value = view.head.sources;
        topic.problem.value = undefined;
      });
    },
    problem: (name, problem) => {
      const topic = topics.get(name);
      if (topic !== undefined) topic.problem.value = problem;
    },
    clock: (serverMs) => {
      const offsetMs = serverMs - Date.now();
      // A small difference is only the delay of the message.
      if (Math.abs(offsetMs - clockOffsetMs.peek()) > 2_000) clockOffsetMs.value = offsetMs;
    },
  },
);

async function sessionProblem(): Promise<Problem | undefined> {
  try {
    const { authentication, limits } = await request("GET /api/session", {});
    if (authentication !== "none") return undefined;
    const problem = {
      code: "logged-out",
      message: "The session has ended, or the server was restarted.",
      hint: limits.join(" "),
    } as const;
    // End the session now. This removes the view, and with it the caller that waits for this answer.
    endSession(problem);
    return problem;
  } catch (error) {
    return error instanceof RequestFailure && error.problem.code === "logged-out" ? error.problem : undefined;
  }
}

/** Follows a topic from `start` until its result is called. A topic that is followed twice is requested once. */
export function followTopic<Name extends TopicName>(
  name: Name,
  parameters: Topics[Name]["parameters"],
): { readonly live: Live<Name>; start(): () => void } {
  const text = topicText(name, parameters as Readonly<Record<string, string | number>>);
  const topic = topics.get(text) ?? new Topic(text);
  topics.set(text, topic);
  return {
    live: topic.live as unknown as Live<Name>,
    start: () => {
      // The topic may have been forgotten since `followTopic`.
      topics.set(text, topic);
      topic.followers += 1;
      followAll();
      return () => {
        topic.followers -= 1;
        // Delete and set the key, so that the topics that were followed last are at the end of the map.
        topics.delete(text);
        topics.set(text, topic);
        followAll();
      };
    },
  };
}

function followAll(): void {
  const left = [...topics].filter(([, { followers }]) => followers === 0);
  for (const [text] of left.slice(0, Math.max(0, left.length - maxRemembered))) topics.delete(text);
  // Wait for the end of this turn of the event loop, in which one view leaves and the next begins.
  queueMicrotask(() =>
    connection.follow([...topics].filter(([, { followers }]) => followers > 0).map(([text]) => text)),
  );
}

/** Forgets all views, so that the next user does not see them. */
function forgetViews(goesOn: boolean): void {
  batch(() => {
    for (const [text, topic] of topics) {
      topic.view.value = undefined;
      topic.problem.value = undefined;
      if (topic.followers === 0) topics.delete(text);
    }
  });
  if (goesOn) connection.restart();
}

/** Begins to follow the clock, the network and the session. Call it once, at the page's start. */
export function startLive(): void {
  setInterval(() => {
    now.value = Date.now();
  }, 1_000);
  let hiddenTimer: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => connection.pause(), hiddenMs);
    else connection.retryNow();
  });
  addEventListener("online", () => connection.retryNow());
  let user: string | undefined;
  session.subscribe((next) => {
    if (next !== undefined) {
      const nextUser = `${next.authentication} ${next.user}`;
      if (user !== undefined && user !== nextUser) forgetViews(next.authentication !== "none");
      user = nextUser;
    }
    if (next !== undefined && next.authentication !== "none" && state.peek().kind === "logged-out")
      connection.retryNow();
  });
}
