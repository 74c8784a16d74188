import { silentLogger, systemClock } from "../../src/base/index.ts";
import { meshKey } from "../../src/controlplane/model/index.ts";
import { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import { testMesh } from "../../src/controlplane/testing/model-fixture.ts";
import { MetricsRegistry } from "../../src/telemetry/index.ts";

/**
 * Returns a mesh with default settings. It handles each change completely in one turn, so that the cost of the change
 * can be measured.
 */
export function measuredMesh(): ServedMesh {
  const mesh = new ServedMesh({
    maxTurnMs: Number.POSITIVE_INFINITY,
    revision: "default",
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
    settled: () => undefined,
  });
  mesh.inputs.mesh.set(meshKey, testMesh);
  return mesh;
}

/** Returns the CPU time of a run in milliseconds. Other load on the machine hardly changes it. */
export function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
