import { firstNames, messageOf, type Clock } from "../../base/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import { isKubeCode, type KubeClient, type WatchEvent, type WatchOptions } from "../../kube/index.ts";

interface KindState {
  readonly kind: KindDefinition;
  state: "new" | "current" | "absent" | "forbidden" | "failing";
  /** When the present state was last known to be true. While a watch is open, this is now. */
  toldAtMs: number | undefined;
  problem: string;
}

/** How the API server answers the informers of each kind. They use a client that records this. */
export class KindStates {
  readonly #clock: Clock;
  readonly #states = new Map<string, KindState>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Wraps a client, to record the answers to its lists and watches. */
  watching(client: KubeClient): KubeClient {
    const list: KubeClient["list"] = async (kind, options) => await this.#noting(kind, client.list(kind, options));
    const watch = <Value extends KubernetesObject>(
      kind: KindDefinition<Value>,
      options: WatchOptions,
    ): AsyncIterable<WatchEvent<Value>> => this.#watch(client, kind, options);
    return {
      get: client.get.bind(client),
      create: client.create.bind(client),
      update: client.update.bind(client),
      patchMerge: client.patchMerge.bind(client),
      apply: client.apply.bind(client),
      delete: client.delete.bind(client),
      raw: client.raw.bind(client),
      list,
      watch,
    };
  }

  async *#watch<Value extends KubernetesObject>(
    client: KubeClient,
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    try {
      for await (const event of client.watch(kind, options)) {
        this.#note(kind, "current", "");
        yield event;
      }
    } catch (error) {
      if (options.signal?.aborted !== true && !isKubeCode(error, "gone")) this.#noteError(kind, error);
      throw error;
    }
  }

  async #noting<Answer>(kind: KindDefinition, answer: Promise<Answer>): Promise<Answer> {
    try {
      const value = await answer;
      this.#note(kind, "current", "");
      return value;
    } catch (error) {
      this.#noteError(kind, error);
      throw error;
    }
  }

  #noteError(kind: KindDefinition, error: unknown): void {
    const state = isKubeCode(error, "not-found") ? "absent" : isKubeCode(error, "forbidden") ? "forbidden" : "failing";
    this.#note(kind, state, messageOf(error));
  }

  #note(kind: KindDefinition, state: KindState["state"], problem: string): void {
    const key = `${kind.group}/${kind.kind}`;
    const known = this.#states.get(key);
    const toldAtMs = state === "current" || state === "absent" ? this.#clock.nowMs() : known?.toldAtMs;
    this.#states.set(key, { kind, state, toldAtMs, problem });
  }

  /**
   * Whether at least so many kinds have been answered, even by a refusal. A kind whose first list failed for another
   * reason does not count.
   */
  isKnown(kinds: number): boolean {
    const answered = [...this.#states.values()].filter(
      ({ state, toldAtMs }) => state === "forbidden" || toldAtMs !== undefined,
    );
    return answered.length >= kinds;
  }

  /** The kinds that may not be read, as `group/Kind`. */
  get unread(): ReadonlySet<string> {
    return new Set([...this.#states].filter(([, { state }]) => state === "forbidden").map(([key]) => key));
  }

  /**
   * The state of Kubernetes as a source of views. `answeredAtMs` is the time of the API server's last answer. Reports
   * missing kinds only if nothing else is wrong, because a mesh may do without them.
   */
  sources(answeredAtMs: number | undefined, problem: string | undefined): SourceState[] {
    const states = [...this.#states.values()];
    const failing = states.filter(({ state }) => state === "failing");
    const forbidden = states.filter(({ state }) => state === "forbidden");
    const oldest = failing.reduce<number | undefined>(
      (least, { toldAtMs }) => (toldAtMs !== undefined && (least === undefined || toldAtMs < least) ? toldAtMs : least),
      answeredAtMs,
    );
    const trouble =
      problem ??
      (failing.length === 0 ? undefined : `${namesOf(failing)} cannot be read: ${failing[0]?.problem ?? ""}`);
    const kubernetes: SourceState = {
      name: "kubernetes",
      ok: trouble === undefined,
      ...(oldest === undefined ? {} : { asOfMs: oldest }),
      ...(trouble === undefined ? {} : { problem: trouble }),
    };
    if (forbidden.length === 0) return [kubernetes];
    const refused: SourceState = {
      name: "rights",
      ok: false,
      problem: `this server may not read ${namesOf(forbidden)}: objects of these kinds are missing here; grant it list and watch on them`,
    };
    return [kubernetes, refused];
  }
}

const namedKinds = 4;

function namesOf(states: readonly KindState[]): string {
  return firstNames(
    states.map(({ kind }) => kind.plural),
    namedKinds,
  );
}
