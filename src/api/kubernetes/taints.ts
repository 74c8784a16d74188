import type { Pod, PodSpec, Taint, Toleration } from "./core.ts";

/** The first taint with one of the effects that the pod does not tolerate. */
export function untoleratedTaint(
  pod: Pod | PodSpec,
  taints: readonly Taint[] | undefined,
  effects: readonly Taint["effect"][],
): Taint | undefined {
  const spec = "containers" in pod ? pod : pod.spec;
  const tolerations = spec?.tolerations ?? [];
  return taints?.find(
    (taint) => effects.includes(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
  );
}

/** Whether the toleration matches the taint. An empty effect matches every effect, and an empty key with `Exists` every key. */
export function tolerates(
  { key = "", operator = "Equal", value = "", effect = "" }: Toleration,
  taint: Taint,
): boolean {
  if (effect !== "" && effect !== taint.effect) return false;
  if (key === "") return operator === "Exists";
  if (key !== taint.key) return false;
  return operator === "Exists" || value === (taint.value ?? "");
}
