import type { IncomingMessage, ServerResponse } from "node:http";
import type { LiveMessage } from "../../../api/dashboard/index.ts";
import { describeError, type Clock, type Logger } from "../../../base/index.ts";
import { readerOf, type Identity } from "../access/identity.ts";
import { limits } from "../limits.ts";
import { problemOf, refusal } from "../../problem.ts";
import type { LiveHub } from "./live-hub.ts";
import { LivePage } from "./live-page.ts";
import { encodeMessage } from "./live-topic.ts";
import { parseTopic, type ParsedTopic } from "./parse-topic.ts";
import { roomForPage, type PageHolder } from "./room-for-page.ts";

/** Whom a page belongs to. The identity is checked repeatedly, because sessions end and rights change. */
export interface PageOwner extends PageHolder {
  readonly id: string;
  /** If undefined, the session has ended, and the page asks the user to log in. */
  identity(): Promise<Identity | undefined>;
}

export interface LivePagesOptions {
  readonly hub: LiveHub;
  readonly clock: Clock;
  readonly log: Logger;
  /** Throws `forbidden` if the identity must not follow the topic. */
  readonly checkTopic: (topic: ParsedTopic, identity: Identity) => Promise<void>;
}

interface OpenPage {
  readonly page: LivePage;
  readonly owner: PageOwner;
  readonly topics: readonly string[];
  isAttended: boolean;
  /** Whether to check the rights again, because the running check began before the session ended. */
  isAskedAgain: boolean;
}

const eventStream = "text/event-stream";
const tickMs = 1_000;
const attendEveryTicks = 15;
const crowdedOut = {
  code: "unavailable",
  message: "the server is full, and nobody has more pages open than you",
  hint: "close some of them",
} as const;
const loggedOut = { code: "logged-out", message: "the session has ended", hint: "log in again" } as const;

export class LivePages {
  readonly #options: LivePagesOptions;
  readonly #pages = new Set<OpenPage>();

  constructor(options: LivePagesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pages.size;
  }

  /**
   * Answers a request with the stream of its topics. If there are too many pages or topics, throws, or sends the reason
   * to an EventSource in a stream that ends at once.
   */
  open(request: IncomingMessage, response: ServerResponse, topics: readonly string[], owner: PageOwner): void {
    try {
      this.#open(request, response, topics, owner);
    } catch (error) {
      const problem = problemOf(error);
      // An EventSource shows data to its page only if the status is 200.
      if (problem.code !== "unavailable" || request.headers.accept !== eventStream) throw error;
      response.writeHead(200, { "content-type": eventStream, "cache-control": "no-store" });
      response.end(
        Buffer.concat(
          topics.map((topic) => encodeMessage({ type: "problem", topic, problem, atMs: this.#options.clock.nowMs() })),
        ),
      );
    }
  }

  #open(request: IncomingMessage, response: ServerResponse, topics: readonly string[], owner: PageOwner): void {
    if (topics.length === 0) throw refusal("invalid", "topic is missing");
    if (topics.length > limits.topicsOfPage)
      throw refusal("invalid", `a page follows at most ${limits.topicsOfPage} topics, got ${topics.length}`);
    for (const surplus of roomForPage(this.#pages, { owner, topics })) this.#giveWay(surplus);
    request.setTimeout(0);
    response.socket?.setNoDelay(true);
    response.writeHead(200, { "content-type": eventStream, "cache-control": "no-store", "x-accel-buffering": "no" });
    response.flushHeaders();
    const { hub, clock } = this.#options;
    const open: OpenPage = {
      page: new LivePage(response, hub, clock),
      owner,
      topics: [...new Set(topics)],
      isAttended: false,
      isAskedAgain: false,
    };
    this.#pages.add(open);
    response.on("error", () => undefined);
    response.on("close", () => {
      this.#pages.delete(open);
      open.page.close();
    });
    void this.#attend(open);
  }

  /** Ends a page, so that a client with fewer pages can open one. The ended page tries again later. */
  #giveWay(open: OpenPage): void {
    const { page, topics } = open;
    this.#pages.delete(open);
    for (const text of topics) page.refuse(text, crowdedOut);
    page.end();
  }

  /**
   * Sends signs of life, closes pages that do not read, and checks rights. When the signal is aborted, ends all pages.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let tick = 1; !signal.aborted; tick += 1) {
      await clock.sleep(tickMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      const alive = encodeMessage({ type: "alive", atMs: clock.nowMs() });
      for (const { page } of this.#pages) page.tick(alive);
      if (tick % attendEveryTicks === 0) for (const open of this.#pages) void this.#attend(open);
    }
    for (const { page } of this.#pages) page.end();
    this.#pages.clear();
  }

  /** Checks the pages of a session at once, because it was ended. */
  async attendAll(id: string): Promise<void> {
    await Promise.all(
      [...this.#pages]
        .filter((open) => open.owner.id === id)
        .map(async (open) => {
          open.isAskedAgain = open.isAttended;
          await this.#attend(open);
        }),
    );
  }

  async #attend(open: OpenPage): Promise<void> {
    // The last check still waits for the API server.
    if (open.isAttended) return;
    open.isAttended = true;
    try {
      const identity = await open.owner.identity();
      if (!this.#pages.has(open)) return;
      if (identity === undefined) {
        const message: LiveMessage = { type: "logged-out", problem: loggedOut, atMs: this.#options.clock.nowMs() };
        this.#pages.delete(open);
        open.page.end(encodeMessage(message));
        return;
      }
      await Promise.all(open.topics.map(async (text) => await this.#follow(open, text, identity)));
    } catch (error) {
      this.#options.log.debug("a page could not be served", { error: describeError(error) });
      if (this.#pages.has(open)) for (const text of open.topics) open.page.tellOnce(text, problemOf(error));
    } finally {
      open.isAttended = false;
      if (open.isAskedAgain && this.#pages.has(open)) {
        open.isAskedAgain = false;
        void this.#attend(open);
      }
    }
  }

  async #follow(open: OpenPage, text: string, identity: Identity): Promise<void> {
    try {
      const topic = parseTopic(text);
      await this.#options.checkTopic(topic, identity);
      const reader = await readerOf(identity, topic.name);
      if (this.#pages.has(open)) open.page.follow(text, reader);
    } catch (error) {
      if (this.#pages.has(open)) open.page.refuse(text, problemOf(error));
    }
  }
}
