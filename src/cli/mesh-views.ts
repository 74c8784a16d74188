import { transientError, userError } from "../base/index.ts";
import type { SourceState, TopicName, Topics } from "../api/dashboard/index.ts";
import { errorOfStatus, type KubeClient } from "../kube/index.ts";
import type { CliContext, ConnectionFlags } from "./context.ts";

/** For how long requests must be counted before an output that appears once shows rates. */
const measureMs = 5000;
/** The command gives up after this time without an answer from the cluster. */
const patienceMs = 30_000;
/**
 * How long to wait for the first metrics. Then the output that appears once shows no rates, because there may be no
 * proxies.
 */
const silenceMs = 10_000;

export interface Followed<Name extends TopicName> {
  readonly name: Name;
  readonly parameters: Topics[Name]["parameters"];
}

export interface ViewPair<First extends TopicName, Second extends TopicName> {
  readonly first: Topics[First]["view"];
  readonly second: Topics[Second]["view"];
  /**
   * Whether both views have existed for {@link silenceMs}. The views are reported when this time has passed, even if
   * nothing changes.
   */
  readonly isLate: boolean;
}

/**
 * Follows two views until the signal is aborted. From the time at which both exist, reports both whenever one changes.
 * If a view cannot be shown, passes a sentence to `problem`. Throws errors that the user must correct, and throws if no
 * view arrives at all.
 */
export async function followViews<First extends TopicName, Second extends TopicName>(
  [first, second]: readonly [Followed<First>, Followed<Second>],
  context: CliContext,
  flags: ConnectionFlags,
  take: { readonly onViews: (views: ViewPair<First, Second>) => void; readonly problem: (text: string) => void },
  signal: AbortSignal,
): Promise<void> {
  const { followMesh, clock } = context;
  if (followMesh === undefined) throw userError("no-views", "this command line cannot watch a mesh");
  await checkPodsReadable(await context.connect(flags));
  const end = new AbortController();
  const views: { first?: Topics[First]["view"]; second?: Topics[Second]["view"] } = {};
  let failure: unknown;
  let lastProblem = "there was no answer";
  let told: string | undefined;
  let isLate = false;
  let late: Disposable | undefined;
  const showBoth = (): void => {
    const { first: one, second: other } = views;
    if (one === undefined || other === undefined) return;
    late ??= clock.after(silenceMs, () => {
      isLate = true;
      showBoth();
    });
    take.onViews({ first: one, second: other, isLate });
  };
  const problem = ({
    code,
    message,
    hint,
  }: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
  }): void => {
    lastProblem = message;
    if (code === "forbidden" || code === "not-found" || code === "internal") {
      failure = userError(code === "internal" ? "unexpected" : code, message, hint === undefined ? {} : { hint });
      end.abort();
      return;
    }
    if (message !== told) take.problem(message);
    told = message;
  };
  using _patience = clock.after(patienceMs, () => {
    if (views.first !== undefined && views.second !== undefined) return;
    failure = transientError("no-views", `the mesh could not be read in ${patienceMs / 1000} s: ${lastProblem}`, {
      hint: "kubectl get pods -A shows whether the API server answers",
    });
    end.abort();
  });
  const within = AbortSignal.any([signal, end.signal]);
  const follow = async <Name extends TopicName>(
    topic: Followed<Name>,
    keep: (view: Topics[Name]["view"]) => void,
  ): Promise<void> => {
    const view = (read: Topics[Name]["view"]): void => {
      keep(read);
      told = undefined;
      showBoth();
    };
    await followMesh(flags, topic, { view, problem }, within);
  };
  try {
    await Promise.all([follow(first, (view) => (views.first = view)), follow(second, (view) => (views.second = view))]);
  } finally {
    late?.[Symbol.dispose]();
  }
  if (failure !== undefined) throw failure;
}

/** Throws if the API server does not answer, or if the user may not list pods. Every view needs them. */
async function checkPodsReadable(client: KubeClient): Promise<void> {
  const { status, text } = await client.raw("GET", "/api/v1/pods?limit=1");
  if (status >= 300) throw errorOfStatus({ verb: "list", object: "pods in all namespaces" }, status, text);
}

/**
 * Decides when an output that appears once is useful: {@link measureMs} after counting has begun, or at once if nothing
 * will be counted.
 */
export class FirstLook {
  #sinceMs: number | undefined;

  /** Whether the output is useful now. Once true, it stays true. `isLate` is that of {@link ViewPair}. */
  isReady(sources: readonly SourceState[], nowMs: number, isLate: boolean): boolean {
    const metrics = sources.find(({ name }) => name === "metrics" || name === "prometheus");
    if (metrics?.name === "prometheus") return true;
    if (metrics?.asOfMs === undefined) return isLate;
    this.#sinceMs ??= nowMs;
    return nowMs - this.#sinceMs >= measureMs;
  }
}

export function sourceLines(sources: readonly SourceState[], nowMs: number): string[] {
  return sources.flatMap(({ name, ok, asOfMs, problem = "it does not answer" }) =>
    ok
      ? []
      : [
          `${name}${asOfMs === undefined ? "" : `, of ${Math.max(0, Math.round((nowMs - asOfMs) / 1000))} s ago`}: ${problem}`,
        ],
  );
}
