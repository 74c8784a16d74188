import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { applyLiveMessage, type LiveMessage, type View } from "../../src/api/dashboard/index.ts";

/**
 * The live stream of one page. An active page applies every message like the real page. Passive pages only count
 * messages, because fifty active pages in one process would be slower than the server under test.
 */
export class OpenPage {
  readonly views = new Map<string, View>();
  bytes = 0;
  /** The number of messages that changed a view. */
  changes = 0;
  /** The number of changes to an unknown view, and of problems. */
  faults = 0;
  readonly #response: IncomingMessage;
  #rest = "";

  private constructor(response: IncomingMessage, looks: boolean) {
    this.#response = response;
    if (looks) response.setEncoding("utf8");
    response.on("data", (chunk: string | Buffer) => {
      if (typeof chunk === "string") this.#read(chunk);
      else this.#count(chunk);
    });
    response.on("error", () => undefined);
  }

  static async open(port: number, root: string, topics: readonly string[], looks: boolean): Promise<OpenPage> {
    const outgoing = request({
      host: "127.0.0.1",
      port,
      agent: false,
      path: `${root}/api/live?${topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&")}`,
    });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error(`the live stream answers ${response.statusCode ?? 0}`);
    return new OpenPage(response, looks);
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  close(): void {
    this.#response.destroy();
  }

  /** Counts the bytes of a chunk, its messages that change a view, and its problems. */
  #count(chunk: Buffer): void {
    this.bytes += chunk.length;
    for (let at = chunk.indexOf('data: {"type":"'); at !== -1; at = chunk.indexOf('data: {"type":"', at + 1)) {
      const type = chunk.toString("latin1", at + 15, at + 22);
      if (type.startsWith("view") || type.startsWith("change")) this.changes += 1;
      else if (type.startsWith("problem")) this.faults += 1;
    }
  }

  #read(chunk: string): void {
    this.bytes += Buffer.byteLength(chunk);
    this.#rest += chunk;
    for (let end = this.#rest.indexOf("\n\n"); end !== -1; end = this.#rest.indexOf("\n\n")) {
      const message = JSON.parse(this.#rest.slice("data: ".length, end)) as LiveMessage;
      this.#rest = this.#rest.slice(end + 2);
      if (message.type === "problem" || message.type === "logged-out") this.faults += 1;
      if (message.type !== "view" && message.type !== "change") continue;
      this.changes += 1;
      const view = applyLiveMessage(this.views.get(message.topic), message);
      if (view === undefined) this.faults += 1;
      else this.views.set(message.topic, view);
    }
  }
}
