import type { ServerResponse } from "node:http";
import type { Problem } from "../../../api/dashboard/index.ts";
import type { Clock } from "../../../base/index.ts";
import { limits } from "../limits.ts";
import { problemOf } from "../../problem.ts";
import type { ViewReader } from "../view-source.ts";
import type { LiveHub } from "./live-hub.ts";
import { encodeMessage, type LiveTopic, type TopicListener } from "./live-topic.ts";

export type PageStream = Pick<
  ServerResponse,
  "write" | "end" | "destroy" | "on" | "writableLength" | "writableNeedDrain"
>;

/** A page that has got no message for this time gets an `alive`. */
const aliveAfterMs = 5_000;

interface Followed {
  readonly topic: LiveTopic;
  readonly readerKey: string;
  /** Whether the page has missed changes. It then needs the whole view next. */
  isBehind: boolean;
}

/** An open page: the topics that it follows, and the data that it has not read yet. */
export class LivePage implements TopicListener {
  readonly #stream: PageStream;
  readonly #hub: LiveHub;
  readonly #clock: Clock;
  readonly #followed = new Map<string, Followed>();
  #sentMs: number;
  #fullSinceMs: number | undefined;
  /** How many of the unread bytes are whole views, which do not count for the limit. */
  #wholeBytes = 0;

  constructor(stream: PageStream, hub: LiveHub, clock: Clock) {
    this.#stream = stream;
    this.#hub = hub;
    this.#clock = clock;
    this.#sentMs = clock.steadyMs();
    stream.on("drain", () => this.#catchUp());
  }

  /**
   * Follows the topic with the rights of this reader. Begins anew if the rights have changed. Sends failures to the
   * page as problems.
   */
  follow(text: string, reader: ViewReader): void {
    if (this.#followed.get(text)?.readerKey === reader.key) return;
    this.unfollow(text);
    try {
      const topic = this.#hub.topic(text, reader);
      this.#followed.set(text, { topic, readerKey: reader.key, isBehind: false });
      topic.add(this);
    } catch (error) {
      this.refuse(text, problemOf(error));
    }
  }

  unfollow(text: string): void {
    const followed = this.#followed.get(text);
    if (followed === undefined) return;
    this.#followed.delete(text);
    this.#hub.leave(followed.topic, this);
  }

  /** Ends a topic, and sends the problem. The page then knows that its data of this topic does not change any more. */
  refuse(text: string, problem: Problem): void {
    this.unfollow(text);
    this.#report(text, problem);
  }

  /** Sends the reason why a topic is not followed yet. */
  tellOnce(text: string, problem: Problem): void {
    if (!this.#followed.has(text)) this.#report(text, problem);
  }

  #report(text: string, problem: Problem): void {
    this.#write(encodeMessage({ type: "problem", topic: text, problem, atMs: this.#clock.nowMs() }));
  }

  whole(topic: LiveTopic, messages: readonly Uint8Array[]): void {
    const followed = this.#followed.get(topic.text);
    if (followed?.topic !== topic) return;
    if (this.#isFull()) {
      followed.isBehind = true;
      return;
    }
    for (const message of messages) {
      this.#wholeBytes += message.length;
      this.#write(message);
    }
  }

  change(topic: LiveTopic, message: Uint8Array): void {
    const followed = this.#followed.get(topic.text);
    if (followed?.topic !== topic || followed.isBehind) return;
    if (this.#isFull()) followed.isBehind = true;
    else this.#write(message);
  }

  /** Called once a second. Sends a sign of life, and closes a page that does not read. */
  tick(alive: Uint8Array): void {
    const nowMs = this.#clock.steadyMs();
    if (this.#fullSinceMs !== undefined && nowMs - this.#fullSinceMs > limits.stalledMs) this.#stream.destroy();
    else if (nowMs - this.#sentMs >= aliveAfterMs && !this.#stream.writableNeedDrain) this.#write(alive);
  }

  /**
   * Sends a last message and ends the stream. Destroys the stream after a while, because a client that does not read
   * could keep it open for ever.
   */
  end(message?: Uint8Array): void {
    if (message !== undefined) this.#write(message);
    this.close();
    this.#stream.end();
    const cut = this.#clock.after(limits.answerReadMs, () => this.#stream.destroy());
    this.#stream.on("close", () => cut[Symbol.dispose]());
  }

  close(): void {
    for (const text of this.#followed.keys()) this.unfollow(text);
  }

  #isFull(): boolean {
    return this.#stream.writableLength > limits.unreadBytes + this.#wholeBytes;
  }

  #write(message: Uint8Array): void {
    this.#sentMs = this.#clock.steadyMs();
    if (!this.#stream.write(message)) this.#fullSinceMs ??= this.#sentMs;
  }

  #catchUp(): void {
    this.#fullSinceMs = undefined;
    this.#wholeBytes = 0;
    for (const followed of this.#followed.values()) {
      if (!followed.isBehind) continue;
      followed.isBehind = false;
      followed.topic.catchUp(this);
    }
  }
}
