import type { IncomingMessage, ServerResponse } from "node:http";
import type { LiveMessage } from "../../../api/dashboard/index.ts";
import { describeError, type Clock, type Logger } from "../../../base/index.ts";
import { readerOf, type Identity } from "../access/identity.ts";
import { limits } from "../limits.ts";
import { problemOf, refusal } from "../problem.ts";
import type { LiveHub } from "./live-hub.ts";
import { LivePage } from "./live-page.ts";
import { encodeMessage } from "./live-topic.ts";
import { parseTopic, type ParsedTopic } from "./parse-topic.ts";

/** Whose page it is, asked again and again: a session ends, rights change. */
export interface PageOwner {
  /** Of the session. */
  readonly id: string;
  /** Who may have only so many pages. */
  readonly user: string;
  /** Where somebody comes from who has not said who they are, and needs no cookie for it. */
  readonly place?: string;
  /** Whose different views count together: the user, or all who have not said who they are. */
  readonly viewer: string;
  /** Undefined when it has ended: the page is told to log in. */
  identity(): Promise<Identity | undefined>;
}

export interface LivePagesOptions {
  readonly hub: LiveHub;
  readonly clock: Clock;
  readonly log: Logger;
  /** Throws `forbidden` where the identity may not follow that at all. */
  readonly checkTopic: (topic: ParsedTopic, identity: Identity) => Promise<void>;
}

interface OpenPage {
  readonly page: LivePage;
  readonly owner: PageOwner;
  readonly topics: readonly string[];
  isAttended: boolean;
  /** What is being found out was asked for before its session ended. */
  isAskedAgain: boolean;
}

const eventStream = "text/event-stream";
const tickMs = 1_000;
const attendEveryTicks = 15;
const loggedOut = { code: "logged-out", message: "the session has ended", hint: "log in again" } as const;

/** All pages that are open, and the care for them. */
export class LivePages {
  readonly #options: LivePagesOptions;
  readonly #pages = new Set<OpenPage>();

  constructor(options: LivePagesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pages.size;
  }

  /** Answers a request with the stream of its topics. Throws where there are too many pages, or topics; an EventSource is told by a stream that ends at once. */
  open(request: IncomingMessage, response: ServerResponse, topics: readonly string[], owner: PageOwner): void {
    try {
      this.#open(request, response, topics, owner);
    } catch (error) {
      const problem = problemOf(error);
      // It gives nothing to its page but what a stream of status 200 tells.
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
    if (this.#pages.size >= limits.pages)
      throw refusal(
        "unavailable",
        `${limits.pages} pages are open, and no more can be`,
        "close pages that nobody looks at",
      );
    const ofUser = [...this.#pages].filter((one) => one.owner.user === owner.user).length;
    if (ofUser >= limits.pagesOfUser)
      throw refusal(
        "unavailable",
        `you have ${limits.pagesOfUser} pages open, and can have no more`,
        "close some of them",
      );
    const ofPlace =
      owner.place === undefined ? 0 : [...this.#pages].filter((one) => one.owner.place === owner.place).length;
    if (ofPlace >= limits.pagesOfAddress)
      throw refusal(
        "unavailable",
        `${limits.pagesOfAddress} pages are open from your address without a login, and no more can be`,
        "log in, or close some of them",
      );
    const followed = new Set([...this.#pages].flatMap((one) => (one.owner.viewer === owner.viewer ? one.topics : [])));
    const more = new Set(topics.filter((text) => !followed.has(text))).size;
    if (more > 0 && followed.size + more > limits.topicsOfUser)
      throw refusal(
        "unavailable",
        `${followed.size} different views are open for ${owner.viewer} already, and no more can be`,
        "close pages that nobody looks at",
      );
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

  /** Says that the server lives, gives up stalled pages, and looks after rights, until the signal is aborted; then ends all pages. */
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

  /** Ends the pages of an owner whose session was ended. */
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
    // One that waits for the API server is not asked for again.
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
      this.#options.log.debug("a page could not be attended", { error: describeError(error) });
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
