import { seenJson, type LiveMessage, type Problem, type View } from "../../../api/dashboard/index.ts";
import { describeError, type Clock, type Logger } from "../../../base/index.ts";
import { limits } from "../limits.ts";
import { problemOf } from "../../problem.ts";
import type { ViewReader, ViewSource } from "../view-source.ts";
import { diffViews } from "./diff-views.ts";
import type { ParsedTopic } from "./parse-topic.ts";

/** A page, as a topic sees it. */
export interface TopicListener {
  /**
   * Receives messages that together are complete, and so do not depend on earlier ones. Their bytes are shared by all
   * pages.
   */
  whole(topic: LiveTopic, messages: readonly Uint8Array[]): void;
  /** Receives the changes since the last message. */
  change(topic: LiveTopic, message: Uint8Array): void;
}

export interface LiveTopicOptions {
  readonly text: string;
  readonly topic: ParsedTopic;
  readonly reader: ViewReader;
  readonly source: ViewSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A source that has ended unexpectedly is followed again after this time. */
const retryMs = 5_000;

/**
 * One topic for all readers with the same rights. For all pages together, it is followed, compared and encoded once.
 */
export class LiveTopic {
  readonly text: string;
  readonly #options: LiveTopicOptions;
  readonly #listeners = new Set<TopicListener>();
  readonly #ended = new AbortController();
  #view: View | undefined;
  #problem: Uint8Array | undefined;
  /** An earlier view and the changes since then, encoded. Together, they give the current view. */
  #whole: Uint8Array | undefined;
  #changes: Uint8Array[] = [];
  #changedBytes = 0;

  constructor(options: LiveTopicOptions) {
    this.#options = options;
    this.text = options.text;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Follows the source until `close`. */
  async run(): Promise<void> {
    const { source, topic, reader, clock, log } = this.#options;
    const { signal } = this.#ended;
    const sink = { view: (view: View) => this.#show(view), problem: (problem: Problem) => this.#fail(problem) };
    while (!signal.aborted) {
      try {
        await source.follow(topic.name, topic.parameters, reader, sink, signal);
        if (signal.aborted) return;
        this.#fail({ code: "unavailable", message: "the view's source has ended; it is asked again" });
      } catch (error) {
        if (signal.aborted) return;
        log.warn("a view cannot be made", { topic: this.text, error: describeError(error) });
        this.#fail(problemOf(error));
      }
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }

  close(): void {
    this.#ended.abort();
    this.#listeners.clear();
  }

  /** Adds a listener. Sends it the current state at once, if there is one. */
  add(listener: TopicListener): void {
    this.#listeners.add(listener);
    this.catchUp(listener);
  }

  remove(listener: TopicListener): void {
    this.#listeners.delete(listener);
  }

  catchUp(listener: TopicListener): void {
    if (this.#view !== undefined) this.#whole ??= encodeMessage({ type: "view", topic: this.text, view: this.#view });
    const messages = [this.#whole, ...this.#changes, this.#problem].filter((message) => message !== undefined);
    if (messages.length > 0) listener.whole(this, messages);
  }

  #show(view: View): void {
    if (this.#ended.signal.aborted) return;
    const before = this.#view;
    const wasProblem = this.#problem !== undefined;
    this.#view = view;
    this.#problem = undefined;
    if (before === undefined || wasProblem) {
      this.#forget();
      for (const listener of this.#listeners) this.catchUp(listener);
      return;
    }
    const change = diffViews(before, view);
    if (change === undefined) return;
    const bytes = encodeMessage({ type: "change", topic: this.text, ...change });
    this.#keep(bytes);
    for (const listener of this.#listeners) listener.change(this, bytes);
  }

  #fail(problem: Problem): void {
    if (this.#ended.signal.aborted) return;
    this.#problem = encodeMessage({ type: "problem", topic: this.text, problem, atMs: this.#options.clock.nowMs() });
    for (const listener of this.#listeners) listener.change(this, this.#problem);
  }

  /**
   * Keeps the changes for new readers. When they have become large, forgets them and the whole view, which is then
   * encoded anew for the next reader.
   */
  #keep(bytes: Uint8Array): void {
    if (this.#whole === undefined) return;
    this.#changes.push(bytes);
    this.#changedBytes += bytes.length;
    if (this.#changedBytes > this.#whole.length / 2 || this.#changes.length > limits.changesKept) this.#forget();
  }

  #forget(): void {
    this.#whole = undefined;
    this.#changes = [];
    this.#changedBytes = 0;
  }
}

/**
 * Encodes a message as a server-sent event. Replaces invisible characters and changes of the writing direction with
 * their names, because they can make a text look like another one. Only the text of an object on its own page stays as
 * it is, for the editor.
 */
export function encodeMessage(message: LiveMessage): Uint8Array {
  const json = JSON.stringify(message);
  const isExact = "topic" in message && nameOfTopic(message.topic) === "config";
  return Buffer.from(`data: ${isExact ? json : seenJson(json)}\n\n`);
}

function nameOfTopic(topic: string): string {
  return topic.split("?", 1)[0] ?? "";
}
