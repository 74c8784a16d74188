import type { Clock, Logger } from "../../../base/index.ts";
import { limits } from "../limits.ts";
import { refusal } from "../../problem.ts";
import type { ViewReader, ViewSource } from "../view-source.ts";
import { LiveTopic, type TopicListener } from "./live-topic.ts";
import { parseTopic } from "./parse-topic.ts";

export interface LiveHubOptions {
  readonly source: ViewSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A topic without pages is still followed for this time, so that a page finds its view when it is reloaded. */
const lingerMs = 3_000;

/** The topics that pages follow. Each is followed once for all readers with the same rights. */
export class LiveHub {
  readonly #options: LiveHubOptions;
  readonly #topics = new Map<string, LiveTopic>();

  constructor(options: LiveHubOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#topics.size;
  }

  /**
   * Finds or begins a topic. The caller must add a listener at once. Throws `invalid` for an unknown topic, and
   * `unavailable` if there are too many.
   */
  topic(text: string, reader: ViewReader): LiveTopic {
    const key = `${text}\n${reader.key}`;
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      const parsed = parseTopic(text);
      if (this.#topics.size >= limits.topics)
        throw refusal(
          "unavailable",
          `${limits.topics} views are open, which is the limit`,
          "close pages that nobody needs",
        );
      topic = new LiveTopic({ text, topic: parsed, reader, ...this.#options });
      this.#topics.set(key, topic);
      void topic.run();
    }
    return topic;
  }

  leave(topic: LiveTopic, listener: TopicListener): void {
    topic.remove(listener);
    if (topic.listeners > 0) return;
    this.#options.clock.after(lingerMs, () => {
      if (topic.listeners === 0) this.#drop(topic);
    });
  }

  close(): void {
    for (const topic of this.#topics.values()) topic.close();
    this.#topics.clear();
  }

  #drop(topic: LiveTopic): void {
    topic.close();
    for (const [key, one] of this.#topics) if (one === topic) this.#topics.delete(key);
  }
}
