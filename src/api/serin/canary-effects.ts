import type { Reader } from "../reader.ts";
import type { CanarySpec } from "./canary.ts";

const all = 100;

/** Warns of fields of a Canary that the engine reads, but that change nothing beside the other fields. */
export function warnOfCanaryFields(spec: Reader, { target, steps, scaleDownDelaySeconds }: CanarySpec): void {
  if (scaleDownDelaySeconds > 0 && !("deployment" in target))
    spec.warnNoEffect(
      "has no effect without target.deployment, because you run the pods of both versions yourself; remove it",
      "scaleDownDelaySeconds",
    );
  let weight = 0;
  steps.forEach((step, index) => {
    weight = step.weight ?? weight;
    if (step.match !== undefined && weight === all)
      spec.warnNoEffect(
        "has no effect at weight 100, where all requests go to the canary; remove it, or match in an earlier step",
        `steps[${index}].match`,
      );
    if (step.mirror !== undefined && (step.experiment?.mirrorPercent ?? 0) > 0)
      spec.warnNoEffect(
        "has no effect beside experiment.mirrorPercent, which copies requests to the experiment alone; remove it, or use a step of its own",
        `steps[${index}].mirror`,
      );
  });
}
