import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import {
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type LocalReply,
  passed,
  type Later,
  type StreamFilter,
  type StreamOutcome,
  type StreamTail,
} from "../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { responseFlags } from "../terms/response-flags.ts";

const reply: LocalReply = {
  status: 418,
  body: "no",
  headers: [["x-own", "1"]],
  flag: responseFlags.none,
  details: "test",
};

/** A filter that writes bodies in capitals and records its calls. */
class Capitals implements HttpFilter, StreamFilter {
  readonly name = "capitals";
  readonly events: string[] = [];
  readonly mark: string;
  /** Whether the filter's outcomes are promises. */
  takesTime = true;
  refuses = false;
  breaksOff = false;
  keepsLength = false;
  /** Whether the filter holds the response's head until the body has arrived. */
  readsBody = false;

  constructor(mark = "a") {
    this.mark = mark;
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    if (!this.keepsLength && request.header("content-length") !== undefined) {
      request.removeHeader("content-length");
      request.setHeader("transfer-encoding", "chunked");
    }
    return request.path === "/refused" ? reply : undefined;
  }

  stream(_request: FilterRequest, signal: () => AbortSignal): StreamFilter {
    signal().addEventListener("abort", () => void this.events.push("end"));
    return this;
  }

  requestBody(bytes: Buffer, end: boolean): Later<StreamOutcome<Buffer>> {
    this.events.push(`request ${bytes.length} ${end}`);
    return this.#pass(Buffer.from(`${bytes.toString().toUpperCase()}${end ? this.mark : ""}`));
  }

  requestTrailers(trailers: readonly string[]): Later<StreamOutcome<StreamTail>> {
    this.events.push(`request trailers ${trailers.join()}`);
    return this.#pass({ body: Buffer.from("!"), trailers });
  }

  async #head(response: FilterResponse): Promise<StreamOutcome<undefined>> {
    const { bytes, isWhole } = await response.bodyStart(1_000_000);
    this.events.push(`body ${bytes.length} ${isWhole}`);
    response.replaceBody(Buffer.from(`${bytes.toString()}, read by ${this.mark}`));
    return passed;
  }

  responseHead(response: FilterResponse, end: boolean): Later<StreamOutcome<undefined>> {
    this.events.push(`head ${response.status} ${end}`);
    if (this.refuses) return { kind: "reply", reply };
    response.fields = [
      ...response.fields.filter(([name]) => this.keepsLength || name !== "content-length"),
      ["x-mark", this.mark],
    ];
    return this.readsBody ? this.#head(response) : this.#pass(undefined);
  }

  responseBody(bytes: Buffer, end: boolean): Later<StreamOutcome<Buffer>> {
    this.events.push(`response ${bytes.length} ${end}`);
    if (this.breaksOff) return { kind: "abort" };
    const text = bytes.toString().toUpperCase();
    return this.#pass(Buffer.from(end ? `${text}${this.mark}` : text));
  }

  #pass<Part>(part: Part): Later<StreamOutcome<Part>> {
    const outcome: StreamOutcome<Part> = { kind: "pass", part };
    return this.takesTime ? sleep(1, outcome) : outcome;
  }
}

async function serving(...filters: readonly Capitals[]): Promise<Harness> {
  const harness = await Harness.start({ filters, filtersIdle: false, http1Trailers: true });
  const app = await harness.backend((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const body = `got ${text.length > 100 ? text.length : text} ${JSON.stringify(request.trailers)}`;
      response.setHeader("content-length", body.length);
      response.end(body);
    });
  });
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  return harness;
}

for (const takesTime of [true, false])
  test(`filters that ${takesTime ? "take time" : "decide at once"} change both messages, and responses pass them in reverse`, async () => {
    const [first, second] = [new Capitals("a"), new Capitals("b")];
    first.takesTime = second.takesTime = takesTime;
    await using harness = await serving(first, second);
    const answer = await harness.get("/", { method: "POST", body: "with us" });
    assert.deepEqual([answer.status, answer.body, answer.headers["x-mark"]], [200, "GOT WITH USAB {}Ba", "b, a"]);
    assert.deepEqual(first.events, ["request 7 true", "head 200 false", "response 17 true", "end"]);
    assert.equal((await harness.get("/")).body, "GOT  {}Ba");
  });

test("a filter reads the body that later filters produced, and replaces it", async () => {
  const [first, second, third] = [new Capitals("a"), new Capitals("b"), new Capitals("c")];
  second.readsBody = true;
  await using harness = await serving(first, second, third);
  assert.equal((await harness.get("/")).body, "GOT  {}C, READ BY Ba");
  assert.ok(second.events.includes("body 8 true"), second.events.join());
});

test("large bodies pass in pieces in both directions", async () => {
  const filter = new Capitals();
  await using harness = await serving(filter);
  const big = await harness.backend((request, response) => {
    let size = 0;
    request.on("data", (chunk: Buffer) => (size += chunk.length));
    request.on("end", () => void response.end(`${"y".repeat(3_000_000)} ${size}`));
  });
  harness.cluster("big", [big.port]);
  harness.table = tableOf(route(forwardTo("big")));
  const { body } = await harness.get("/", { method: "POST", body: "x".repeat(3_000_000) });
  assert.equal(body, `${"Y".repeat(3_000_000)} 3000001a`);
  for (const side of ["request", "response"]) {
    const sizes = filter.events.filter((line) => line.startsWith(side)).map((line) => Number(line.split(" ")[1]));
    assert.ok(sizes.length > 3 && Math.max(...sizes) < 1_000_000, `${side}: ${sizes.join()}`);
  }
});

test("a chunked body loses its framing before filters see it, and keeps its trailers", async () => {
  const filter = new Capitals();
  await using harness = await serving(filter);
  const client = harness.client();
  client.send(
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwith\r\n3\r\n us\r\n0\r\nx-sum: 1\r\n\r\n",
  );
  await client.until(/GOT WITH US! {"X-SUM":"1"}a/);
  assert.ok(filter.events.includes("request trailers x-sum,1"), filter.events.join());
});

test("a filter answers instead of the upstream, and local answers pass the filters", async () => {
  const filter = new Capitals();
  await using harness = await serving(filter);
  const refused = await harness.get("/refused");
  assert.deepEqual(
    [refused.status, refused.body, refused.headers["x-own"], refused.headers["x-mark"]],
    [418, "NOa", "1", "a"],
  );
  filter.refuses = true;
  const answered = await harness.get("/");
  assert.deepEqual([answered.status, answered.body, answered.headers["x-own"]], [418, "no", "1"]);
  filter.refuses = false;
  harness.table = tableOf(route(forwardTo("nowhere")));
  const missing = await harness.get("/");
  assert.deepEqual([missing.status, missing.headers["x-mark"]], [503, "a"]);
});

test("a body whose length differs from the head's ends the connection, and so does a filter that ends the exchange", async () => {
  const filter = new Capitals();
  await using harness = await serving(filter);
  filter.keepsLength = true;
  // The response has not begun, so the client gets an error response.
  filter.takesTime = false;
  assert.equal((await harness.get("/")).status, 500);
  assert.equal((await harness.get("/", { method: "POST", body: "with us" })).status, 500);
  filter.takesTime = true;
  await assert.rejects(harness.get("/"));
  filter.keepsLength = false;
  filter.breaksOff = true;
  await assert.rejects(harness.get("/"));
  assert.equal(harness.records.length, 4);
});

test("a filter is notified when its client disconnects", async () => {
  const filter = new Capitals();
  await using harness = await serving(filter);
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
  await until(() => filter.events.length > 0);
  client.socket.destroy();
  await until(() => filter.events.at(-1) === "end");
});
