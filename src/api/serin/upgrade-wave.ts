import { checkLabels } from "../istio/checks.ts";
import { areRepeated, type Reader } from "../reader.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import { objectNames } from "./object-name.ts";
import { parsePause, type PauseSpec } from "./rollout-orders.ts";

/**
 * A part of a mesh upgrade whose members move together and are judged together. A namespace or workload that several
 * waves select moves in the first of them.
 */
export interface UpgradeWave {
  readonly name: string;
  readonly namespaces: readonly string[];
  /**
   * Selects namespaces by their labels. Without labels and names, the wave has all namespaces that no other wave has.
   */
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /**
   * Limits the wave to workloads whose pods have these labels. A namespace's own label moves with the wave that moves
   * the rest of its workloads.
   */
  readonly workloadLabels: Readonly<Record<string, string>>;
  /**
   * With `Restart`, each workload replaces its pods by its own update strategy. With `ScaleFirst`, all new pods are
   * ready before an old one stops.
   */
  readonly mode: "Restart" | "ScaleFirst";
  /** The number of workloads that restart at the same time. */
  readonly maxUnavailable: number;
  readonly soakSeconds: number;
  readonly pause?: PauseSpec;
  readonly checks: readonly CheckSpec[];
}

const maxWaves = 64;
const monthSeconds = 2_592_000;

export function parseWaves(spec: Reader): readonly UpgradeWave[] {
  const waves = spec.objects("waves");
  if (waves.length > maxWaves) spec.error(`must have at most ${maxWaves} waves, got ${waves.length}`, "waves");
  const parsed = waves.slice(0, maxWaves).map((wave, index) => parseWave(wave, index));
  const names = parsed.map(({ name }) => name);
  const twice = areRepeated(names).indexOf(true);
  if (twice !== -1)
    spec.error(`must differ from those of the other waves, got "${names[twice] ?? ""}" twice`, `waves[${twice}].name`);
  return parsed;
}

function labels(wave: Reader, field: string): Readonly<Record<string, string>> {
  const found = wave.stringMap(field);
  checkLabels(wave, field, found);
  return found;
}

function parseWave(wave: Reader, index: number): UpgradeWave {
  const pause = parsePause(wave);
  const result: UpgradeWave = {
    name: wave.string("name") ?? `wave-${index + 1}`,
    namespaces: objectNames(wave, "namespaces"),
    namespaceLabels: labels(wave, "namespaceLabels"),
    workloadLabels: labels(wave, "workloadLabels"),
    mode: wave.oneOf("mode", ["Restart", "ScaleFirst"]) ?? "Restart",
    maxUnavailable: wave.integer("maxUnavailable", 1, 1000) ?? 1,
    soakSeconds: wave.integer("soakSeconds", 0, monthSeconds) ?? 0,
    ...(pause === undefined ? {} : { pause }),
    checks: parseChecks(wave, "checks"),
  };
  if (result.name.trim() === "") wave.error("must not be empty", "name");
  wave.unknownFields();
  return result;
}
