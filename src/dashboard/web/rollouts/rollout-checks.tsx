import type { JSX } from "preact";
import type { RolloutCheck } from "../../../api/dashboard/index.ts";
import { Empty, Mark, Tag, type IconName, type Tone } from "../components/index.ts";
import { comparisonScale, comparisonSentence, formatCompared, quantileName } from "./comparison-scale.ts";
import { ProbeTable } from "./probe-table.tsx";

const verdicts: Readonly<
  Record<RolloutCheck["verdict"], { readonly tone: Tone; readonly icon: IconName; readonly word: string }>
> = {
  pass: { tone: "good", icon: "good", word: "passes" },
  fail: { tone: "bad", icon: "bad", word: "fails" },
  wait: { tone: "info", icon: "paused", word: "needs more" },
  error: { tone: "warn", icon: "warn", word: "cannot tell" },
};

export function Checks({
  checks,
  currentStep,
}: {
  readonly checks: Readonly<Record<string, RolloutCheck>>;
  readonly currentStep: string;
}): JSX.Element {
  const shown = Object.entries(checks).sort(([a], [b]) => a.localeCompare(b));
  if (shown.length === 0)
    return (
      <Empty title="No check runs now">
        {currentStep === ""
          ? "Checks run while a step is under way."
          : "This step has no checks, or its checks start once the step has settled."}
      </Empty>
    );
  return (
    <ul class="checks">
      {shown.map(([key, check]) => (
        <Check key={key} check={check} current={check.step === currentStep} />
      ))}
    </ul>
  );
}

function Check({ check, current }: { readonly check: RolloutCheck; readonly current: boolean }): JSX.Element {
  const { tone, icon, word } = verdicts[check.verdict];
  return (
    <li class="check">
      <div class="spread">
        <div class="row">
          <h3>{check.name ?? check.type}</h3>
          {check.name === undefined ? undefined : <span class="muted small">{check.type}</span>}
          {check.dryRun === true ? <Tag title="The rollout ignores this verdict">dry run</Tag> : undefined}
          {current ? undefined : <Tag>of step {check.step}</Tag>}
        </div>
        <Mark tone={tone} icon={icon}>
          <strong>{word}</strong>
        </Mark>
      </div>
      {check.comparison === undefined ? undefined : <Comparison comparison={check.comparison} />}
      <p class="check-evidence">{check.evidence}</p>
      {check.matrix === undefined ? undefined : <ProbeTable matrix={check.matrix} />}
      <p class="muted small">{check.explanation}</p>
    </li>
  );
}

function Comparison({ comparison }: { readonly comparison: NonNullable<RolloutCheck["comparison"]> }): JSX.Element {
  const { canary, stable, bound } = comparisonScale(comparison);
  const { unit } = comparison;
  const rows = [
    { who: "canary", at: canary, value: comparison.canary, samples: comparison.canarySamples },
    { who: "stable", at: stable, value: comparison.stable, samples: comparison.stableSamples },
  ] as const;
  return (
    <div class="comparison" role="img" aria-label={comparisonSentence(comparison)}>
      {rows.map(({ who, at, value, samples }) => (
        <div key={who} class="comparison-row" data-who={who}>
          <span class="comparison-who">
            {who} <span class="muted small">{quantileName(comparison.quantile)}</span>
          </span>
          <span class="comparison-track">
            <i style={{ width: `${(at ?? 0) * 100}%` }} />
            {bound === undefined ? undefined : <b style={{ left: `${bound * 100}%` }} />}
          </span>
          <span class="comparison-value">{formatCompared(value, unit)}</span>
          <span class="comparison-samples muted small">{samples.toLocaleString("en-US")} seen</span>
        </div>
      ))}
      {bound === undefined ? undefined : (
        <div class="comparison-row comparison-bound small">
          <span />
          <span class="comparison-track" data-plain="true">
            <em style={bound > 0.6 ? { right: `${(1 - bound) * 100}%` } : { left: `${bound * 100}%` }}>
              bound {formatCompared(comparison.bound, unit)}
            </em>
          </span>
          <span />
          <span />
        </div>
      )}
    </div>
  );
}
