import { aborted, SerinError, messageOf, type Clock, type Logger, jsonEqual } from "../../base/index.ts";
import { topicText, type Problem, type TopicName, type Topics, type View } from "../../api/dashboard/index.ts";
import { problemOf } from "../problem.ts";
import type { ViewReader, ViewSink, ViewSource } from "../server/view-source.ts";

export type Input = "objects" | "traffic" | "pilots" | "messages" | "time";

/** The maximum number of topics that all readers together may follow. */
export const maxFeeds = 1000;
/**
 * The minimum time between two builds of a view, and how long a build waits after a change, to include changes that
 * come together with it.
 */
const intervalMs = 1000;
const gatherMs = 40;

export interface ViewHubOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly versionOf: (input: Input) => number;
  readonly inputsOf: (name: TopicName, parameters: Topics[TopicName]["parameters"]) => readonly Input[];
  /**
   * Makes a view. Throws a problem to show instead, such as `not-found` or `forbidden`. Undefined while nothing has
   * been read.
   */
  readonly make: (
    name: TopicName,
    parameters: Topics[TopicName]["parameters"],
    reader: ViewReader,
  ) => Promise<View | undefined>;
}

interface Feed {
  readonly name: TopicName;
  readonly parameters: Topics[TopicName]["parameters"];
  readonly reader: ViewReader;
  readonly sinks: Set<ViewSink>;
  view: View | undefined;
  problem: Problem | undefined;
  versions: readonly number[];
  madeMs: number;
  timer: Disposable | undefined;
  isMaking: boolean;
}

/**
 * Makes each view once for all readers with the same rights. Makes it again after its inputs have changed, at most once
 * a second.
 */
export class ViewHub implements ViewSource {
  readonly #options: ViewHubOptions;
  readonly #feeds = new Map<string, Feed>();

  constructor(options: ViewHubOptions) {
    this.#options = options;
  }

  isWanted(input: Input): boolean {
    return [...this.#feeds.values()].some(({ name, parameters }) =>
      this.#options.inputsOf(name, parameters).includes(input),
    );
  }

  get feedCount(): number {
    return this.#feeds.size;
  }

  async follow<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    reader: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void> {
    if (signal.aborted) return;
    const key = `${topicText(name, { ...parameters })}\n${reader.key}`;
    if (!this.#feeds.has(key) && this.#feeds.size >= maxFeeds) {
      sink.problem({
        code: "unavailable",
        message: `${maxFeeds} different views are already open`,
        hint: "close pages that nobody needs",
      });
      return;
    }
    const feed = this.#feeds.get(key) ?? newFeed(name, parameters, reader);
    this.#feeds.set(key, feed);
    feed.sinks.add(sink);
    if (feed.view !== undefined) sink.view(feed.view);
    else if (feed.problem !== undefined) sink.problem(feed.problem);
    this.#schedule(feed);
    await aborted(signal);
    feed.sinks.delete(sink);
    if (feed.sinks.size > 0) return;
    feed.timer?.[Symbol.dispose]();
    this.#feeds.delete(key);
  }

  /** Tells the hub that inputs have changed. Several changes at the same time lead to one build of a view. */
  changed(): void {
    for (const feed of this.#feeds.values()) this.#schedule(feed);
  }

  #schedule(feed: Feed): void {
    if (feed.timer !== undefined || feed.isMaking || feed.sinks.size === 0 || !this.#isOutdated(feed)) return;
    const { clock } = this.#options;
    const waitMs =
      feed.madeMs === Number.NEGATIVE_INFINITY ? 0 : Math.max(gatherMs, feed.madeMs + intervalMs - clock.steadyMs());
    feed.timer = clock.after(waitMs, () => {
      feed.timer = undefined;
      void this.#make(feed);
    });
  }

  #isOutdated({ name, parameters, versions }: Feed): boolean {
    const { inputsOf, versionOf } = this.#options;
    return inputsOf(name, parameters).some((input, index) => versionOf(input) !== versions[index]);
  }

  async #make(feed: Feed): Promise<void> {
    const { clock, log, inputsOf, versionOf, make } = this.#options;
    feed.isMaking = true;
    feed.madeMs = clock.steadyMs();
    feed.versions = inputsOf(feed.name, feed.parameters).map(versionOf);
    try {
      const view = await make(feed.name, feed.parameters, feed.reader);
      if (view !== undefined) {
        feed.view = view;
        feed.problem = undefined;
        for (const sink of feed.sinks) sink.view(view);
      }
    } catch (error) {
      const problem = problemOfView(error);
      if (problem.code === "internal")
        log.error("a view could not be made", { topic: feed.name, error: messageOf(error) });
      feed.view = undefined;
      if (!jsonEqual(problem, feed.problem)) for (const sink of feed.sinks) sink.problem(problem);
      feed.problem = problem;
    } finally {
      feed.isMaking = false;
    }
    this.#schedule(feed);
  }
}

function problemOfView(error: unknown): Problem {
  return error instanceof SerinError
    ? problemOf(error)
    : { code: "internal", message: `the view could not be made: ${messageOf(error)}` };
}

function newFeed(name: TopicName, parameters: Topics[TopicName]["parameters"], reader: ViewReader): Feed {
  return {
    name,
    parameters,
    reader,
    sinks: new Set(),
    view: undefined,
    problem: undefined,
    versions: [],
    madeMs: Number.NEGATIVE_INFINITY,
    timer: undefined,
    isMaking: false,
  };
}
