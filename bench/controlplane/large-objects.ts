// Measures how long one large object keeps the control plane busy. This includes its ingest, the derivation of
// everything that it changes, and the responses to a sidecar, a gateway, a waypoint and a ztunnel.
//   npm run bench:controlplane:large -- [--cases subsets,hosts] [--scale 1] [--json]
// Each case runs with a quarter of its size and with its full size. A growth above 4 is more than linear.
import { benchOptions } from "../../scripts/arguments/bench-options.ts";
import { slice } from "../../src/controlplane/testing/model-fixture.ts";
import { largeObjects, type LargeObjects } from "./large-object-cases.ts";
import { cpuMs } from "./measured-mesh.ts";
import { ServedSurroundings } from "./served-surroundings.ts";

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
  const served = new ServedSurroundings();
  const before = served.sentBytes;
  const objects = large(size);
  let ingestMs = 0;
  const settleMs =
    cpuMs(() => {
      served.mesh.graph.batch(() => {
        ingestMs = cpuMs(() => served.take(objects));
      });
    }) - ingestMs;
  const sendMs = cpuMs(() => served.send());
  const slowest = served.slowestCollections();
  // Measure a later change of another object, which the large object affects.
  const changeMs = cpuMs(() => {
    served.mesh.graph.batch(() =>
      served.take([
        slice("shop/web", { name: "http", port: 8080 }, [
          { address: "10.0.0.1", pod: "web-1" },
          { address: "10.0.0.77" },
        ]),
      ]),
    );
    served.send();
  });
  const sentBytes = served.sentBytes - before;
  served.close();
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
