import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { AccessLog } from "../../telemetry/index.ts";
import { compileTextFormat } from "../record/log-format.ts";
import { RequestTracing } from "../tracing/request-tracing.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

/** Traces a random half of the requests, and sends the decision to the upstream in W3C's header. */
const tracing = new RequestTracing({
  formats: ["w3c"],
  readFormats: ["w3c"],
  shortTraceIds: false,
  randomShare: 0.5,
  clientShare: 1,
  overallShare: 1,
  byRequestId: true,
  propagates: true,
  spawnsUpstreamSpan: false,
  maxPathLength: 256,
  customTags: [],
  exporter: undefined,
  node: { id: "", service: "", address: "", zone: "" },
});

test("the upstream, the record and the log have the same id of a request, whatever ids the connection's other requests have", async () => {
  const capture = { request: new Map<string, number>(), response: new Map<string, number>() };
  const format = compileTextFormat(
    "%REQ(X-REQUEST-ID):8% %STREAM_ID% %STREAM_ID% %REQ(X-REQUEST-ID)%\n",
    () => new Error("unknown operator"),
  );
  let log = "";
  const file = new AccessLog({
    sink: { write: async (bytes) => void (log += await Promise.resolve(Buffer.from(bytes).toString())) },
    clock: systemClock,
  });
  const recorded: string[] = [];
  const connections = new Set<object>();
  let chance = 1;
  await using harness = await Harness.start({ tracing, preserveExternalRequestId: true }, 1, {
    random: () => chance,
    observe: (record) => {
      recorded.push(record.requestId);
      connections.add(record.connection);
      format.write(file, record, capture);
    },
  });
  const received: (readonly string[] | undefined)[] = [];
  const { port } = await harness.backend((request, answer) => {
    received.push(request.headersDistinct["x-request-id"]);
    answer.end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a")));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const kept = "a client's own id, longer than the proxy's ids";
  for (const id of ["new", "new", "sampled", kept, "new", "short", kept, "sampled", "new"]) {
    chance = id === "sampled" ? 0 : 1;
    const headers = id === kept || id === "short" ? { "x-request-id": id } : {};
    assert.equal((await harness.get("/", { agent, headers })).status, 200);
  }
  agent.destroy();
  await file.flush();
  const ids = received.map((values) => values?.join());
  assert.equal(connections.size, 1);
  assert.deepEqual(recorded, ids);
  assert.equal(log, ids.map((id) => `${id?.slice(0, 8)} ${id} ${id} ${id}\n`).join(""));
  // The fifteenth character of an id that the proxy makes tells whether the request is traced.
  assert.deepEqual(
    ids.map((id) => (id === kept || id === "short" ? id : `${id?.[14]} of ${id?.length}`)),
    ["4 of 36", "4 of 36", "9 of 36", kept, "4 of 36", "short", kept, "9 of 36", "4 of 36"],
  );
  assert.equal(new Set(ids).size, 8);
});
