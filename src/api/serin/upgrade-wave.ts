import { areRepeated, type Reader } from "../reader.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import { parsePause, type PauseSpec } from "./rollout-orders.ts";

/** Part of a mesh upgrade that moves together and is judged together. What several waves select moves in the first. */
export interface UpgradeWave {
  readonly name: string;
  /** Namespaces by name. */
  readonly namespaces: readonly string[];
  /** Namespaces by their labels; with neither this nor names all that are left. */
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Only workloads whose pods have these labels; their namespace's own label moves with the wave that takes the rest. */
  readonly workloadLabels: Readonly<Record<string, string>>;
  /** Restart: each workload by its own update strategy. ScaleFirst: all new pods are ready before an old one goes. */
  readonly mode: "Restart" | "ScaleFirst";
  /** Workloads that restart at once. */
  readonly maxUnavailable: number;
  readonly soakSeconds: number;
  readonly pause?: PauseSpec;
  readonly checks: readonly CheckSpec[];
}

const maxWaves = 64;
const monthSeconds = 2_592_000;

/** The field `waves` of a MeshUpgrade's spec. */
export function parseWaves(spec: Reader): readonly UpgradeWave[] {
  const waves = spec.list("waves");
  if (waves.length > maxWaves) spec.error(`must have at most ${maxWaves} waves, got ${waves.length}`, "waves");
  const parsed = waves.slice(0, maxWaves).map((wave, index) => parseWave(wave, index));
  const names = parsed.map(({ name }) => name);
  const twice = areRepeated(names).indexOf(true);
  if (twice !== -1)
    spec.error(`must differ from those of the other waves, got "${names[twice] ?? ""}" twice`, `waves[${twice}].name`);
  return parsed;
}

function parseWave(wave: Reader, index: number): UpgradeWave {
  const pause = parsePause(wave);
  const result: UpgradeWave = {
    name: wave.string("name") ?? `wave-${index + 1}`,
    namespaces: wave.strings("namespaces"),
    namespaceLabels: wave.stringMap("namespaceLabels"),
    workloadLabels: wave.stringMap("workloadLabels"),
    mode: wave.oneOf("mode", ["Restart", "ScaleFirst"]) ?? "Restart",
    maxUnavailable: wave.integer("maxUnavailable", 1, 1000) ?? 1,
    soakSeconds: wave.integer("soakSeconds", 0, monthSeconds) ?? 0,
    ...(pause === undefined ? {} : { pause }),
    checks: parseChecks(wave, "checks"),
  };
  wave.unknownFields();
  return result;
}
