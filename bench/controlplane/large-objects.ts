// Measures how long one large object keeps the control plane busy. This includes its ingest, the derivation of
// everything that it changes, and the responses to a sidecar, a gateway, a waypoint and a ztunnel.
//   npm run bench:controlplane:large -- [--cases subsets,hosts] [--scale 1] [--json]
// Each case runs with a quarter of its size and with its full size. A growth above 4 is more than linear.
import { benchOptions } from "../../scripts/arguments/bench-options.ts";
import { keyOf } from "../../src/api/index.ts";
import { createFeeds } from "../../src/controlplane/ingest/feeds.ts";
import { slice } from "../../src/controlplane/testing/model-fixture.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { largeObjects, type LargeObjects } from "./large-object-cases.ts";
import { cpuMs, measuredMesh } from "./measured-mesh.ts";
import { SilentClient } from "./silent-client.ts";
import { gateway, sidecar, surroundings, waypoint, ztunnel } from "./surroundings.ts";

const options = benchOptions("npm run bench:controlplane:large --", {
  cases: Object.keys(largeObjects).join(","),
  scale: 1,
  json: false,
});

interface Cost {
  readonly objectBytes: number;
  readonly ingestMs: number;
  readonly settleMs: number;
  readonly sendMs: number;
  readonly changeMs: number;
  readonly sentBytes: number;
  readonly slowest: string;
}

function measure(large: LargeObjects, size: number): Cost {
  const mesh = measuredMesh();
  const feeds = createFeeds(mesh.inputs, "default", (object, issues) => {
    throw new Error(`${keyOf(object)} is refused: ${JSON.stringify(issues).slice(0, 300)}`);
  });
  const take = (objects: ReturnType<LargeObjects>): void => {
    for (const object of objects) {
      const group = object.apiVersion?.split("/")[0];
      const feed = feeds.find(({ kind }) => kind.kind === object.kind && (group === undefined || kind.group === group));
      if (feed === undefined) throw new Error(`the model does not read ${object.kind ?? ""}`);
      feed.take(keyOf(object), object);
    }
  };
  mesh.graph.batch(() => take(surroundings));
  const clients = [sidecar, gateway, waypoint].map((proxy) => {
    const client = new SilentClient(mesh.discovery, proxy, { endpoints: [], routes: ["80", "http.80"] });
    client.subscribe(typeUrls.cluster);
    return client;
  });
  const node = new SilentClient(mesh.discovery, ztunnel, { endpoints: [], routes: [] });
  for (const typeUrl of [typeUrls.address, typeUrls.authorization]) node.subscribe(typeUrl);
  clients.push(node);
  const acknowledge = (): void => {
    while (clients.filter((client) => client.acknowledge()).length > 0);
  };
  acknowledge();
  const before = clients.reduce((sum, client) => sum + client.received.bytes, 0);
  const objects = large(size);
  let ingestMs = 0;
  const settleMs =
    cpuMs(() => {
      mesh.graph.batch(() => {
        ingestMs = cpuMs(() => take(objects));
      });
    }) - ingestMs;
  const sendMs = cpuMs(() => {
    mesh.discovery.flush();
    acknowledge();
  });
  const slowest = mesh.graph.collections
    .toSorted((left, right) => right.stats.lastCostMs - left.stats.lastCostMs)
    .slice(0, 3)
    .map(({ name, stats }) => `${name} ${stats.lastCostMs.toFixed(0)}`)
    .join(", ");
  // The time of a later change to something else that the object affects.
  const changeMs = cpuMs(() => {
    mesh.graph.batch(() =>
      take([
        slice("shop/web", { name: "http", port: 8080 }, [
          { address: "10.0.0.1", pod: "web-1" },
          { address: "10.0.0.77" },
        ]),
      ]),
    );
    mesh.discovery.flush();
    acknowledge();
  });
  const sentBytes = clients.reduce((sum, client) => sum + client.received.bytes, 0) - before;
  for (const client of clients) client.close();
  const objectBytes = Math.max(...objects.map((object) => JSON.stringify(object).length));
  return { objectBytes, ingestMs, settleMs, sendMs, changeMs, sentBytes, slowest };
}

if (!options.json)
  process.stdout.write(
    "| case | size | object kB | ingest ms | settle ms | send ms | later endpoint ms | sent kB | growth | slowest collections, ms |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
  );
for (const name of options.cases.split(",")) {
  try {
    report(name);
  } catch (error) {
    process.stdout.write(`| ${name} | ${String(error).slice(0, 300)} |\n`);
  }
}

function report(name: string): void {
  const found = largeObjects[name];
  if (found === undefined)
    throw new Error(`there is no case "${name}": ${Object.keys(largeObjects).join(", ")} are known`);
  const size = Math.round(found.size * options.scale);
  measure(found.objects, 4);
  const small = measure(found.objects, Math.ceil(size / 4));
  const whole = measure(found.objects, size);
  const total = ({ ingestMs, settleMs, sendMs }: Cost): number => ingestMs + settleMs + sendMs;
  const growth = total(whole) / total(small);
  if (options.json) process.stdout.write(`${JSON.stringify({ case: name, size, growth, ...whole })}\n`);
  else
    process.stdout.write(
      `| ${[name, size, (whole.objectBytes / 1000).toFixed(0), ...[whole.ingestMs, whole.settleMs, whole.sendMs, whole.changeMs].map((ms) => ms.toFixed(0)), (whole.sentBytes / 1000).toFixed(0), growth.toFixed(1), whole.slowest].join(" | ")} |\n`,
    );
}
