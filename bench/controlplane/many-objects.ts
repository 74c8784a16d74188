// Measures the start with many objects of the kinds that select each other, and a change of one of them.
//   npm run bench:controlplane:many -- [--cases entries,pods] [--size 2000] [--json]
// Each case runs with a quarter of its size and with its full size. A growth of the start above 4 is more than linear.
// A change should cost the same at both sizes.
import { benchOptions } from "../../scripts/arguments/bench-options.ts";
import type { KubernetesObject } from "../../src/api/index.ts";
import { manyObjects, type ManyObjects } from "./many-object-cases.ts";
import { cpuMs } from "./measured-mesh.ts";
import { ServedSurroundings } from "./served-surroundings.ts";

const options = benchOptions("npm run bench:controlplane:many --", {
  cases: Object.keys(manyObjects).join(","),
  size: 2000,
  json: false,
});
/** The number of changes of each kind of object. The bench reports the median of their times. */
const rounds = 5;

interface Cost {
  readonly startMs: number;
  /** For each kind of object, the CPU time of a change in milliseconds, and the number of items that it computes. */
  readonly changes: Readonly<Record<string, { readonly ms: number; readonly computed: number }>>;
  readonly slowest: string;
}

function measure(many: ManyObjects, size: number): Cost {
  const served = new ServedSurroundings();
  const { graph } = served.mesh;
  const apply = (objects: readonly KubernetesObject[]): void => {
    graph.batch(() => served.take(objects));
    served.send();
  };
  const objects = many.objects(size);
  const startMs = cpuMs(() => apply(objects));
  const slowest = served.slowestCollections();
  const computed = (): number => graph.collections.reduce((sum, { stats }) => sum + stats.recomputations, 0);
  const changes = Object.fromEntries(
    [...Map.groupBy(objects, ({ kind }) => kind ?? "")].map(([kind, ofKind]) => {
      const changed = ofKind[Math.floor(ofKind.length / 2)]!;
      const before = computed();
      const times = Array.from({ length: rounds }, (_, round) => cpuMs(() => apply([many.changed(changed, round)])));
      const median = times.sort((left, right) => left - right)[rounds >> 1] ?? Number.NaN;
      return [kind, { ms: median, computed: Math.round((computed() - before) / rounds) }];
    }),
  );
  served.close();
  return { startMs, changes, slowest };
}

function report(name: string): void {
  const found = manyObjects[name];
  if (found === undefined)
    throw new Error(`there is no case "${name}": ${Object.keys(manyObjects).join(", ")} are known`);
  const { size } = options;
  measure(found, 4);
  const small = measure(found, Math.ceil(size / 4));
  const whole = measure(found, size);
  const growth = whole.startMs / small.startMs;
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ case: name, size, growth, ...whole })}\n`);
    return;
  }
  const changes = Object.entries(whole.changes).map(([kind, { ms, computed }]) => {
    const before = small.changes[kind];
    return `${kind} ${before?.ms.toFixed(0)} → ${ms.toFixed(0)} (${before?.computed} → ${computed})`;
  });
  process.stdout.write(
    `| ${[name, small.startMs.toFixed(0), whole.startMs.toFixed(0), growth.toFixed(1), changes.join(", "), whole.slowest].join(" | ")} |\n`,
  );
}

if (!options.json)
  process.stdout.write(
    `| case | start ms, ${Math.ceil(options.size / 4)} | start ms, ${options.size} | growth | a change: ms (computed items) | slowest collections, ms |\n| --- | --- | --- | --- | --- | --- |\n`,
  );
for (const name of options.cases.split(",")) {
  try {
    report(name);
  } catch (error) {
    process.stdout.write(`| ${name} | ${String(error).slice(0, 300)} |\n`);
  }
}
