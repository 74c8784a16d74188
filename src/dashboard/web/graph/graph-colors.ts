import type { Health } from "../../../api/dashboard/index.ts";
import { resolvedColor } from "../theme.ts";

export interface GraphColors {
  readonly surface: string;
  readonly box: string;
  readonly stack: string;
  readonly line: string;
  readonly lineStrong: string;
  readonly text: string;
  readonly muted: string;
  readonly accent: string;
  readonly accentGround: string;
  readonly canary: string;
  readonly onCanary: string;
  readonly health: Readonly<Record<Health, string>>;
  readonly healthGround: Readonly<Record<Health, string>>;
  /** The colours of edges. Those of healthy ones are muted, so that others stand out. */
  readonly edge: Readonly<Record<Health, string>>;
  readonly font: string;
}

/** Reads the colours. Must be called again after a change of the theme. */
export function graphColors(): GraphColors {
  const health: Record<Health, string> = {
    healthy: resolvedColor("--good"),
    degraded: resolvedColor("--warn"),
    failing: resolvedColor("--bad"),
    idle: resolvedColor("--idle"),
    unknown: resolvedColor("--idle"),
  };
  return {
    surface: resolvedColor("--surface"),
    box: resolvedColor("--graph-box"),
    stack: resolvedColor("--surface-2"),
    line: resolvedColor("--line"),
    lineStrong: resolvedColor("--line-strong"),
    text: resolvedColor("--text"),
    muted: resolvedColor("--text-muted"),
    accent: resolvedColor("--accent"),
    accentGround: resolvedColor("--accent-ground"),
    canary: resolvedColor("--canary"),
    onCanary: resolvedColor("--surface"),
    health,
    healthGround: {
      healthy: resolvedColor("--good-ground"),
      degraded: resolvedColor("--warn-ground"),
      failing: resolvedColor("--bad-ground"),
      idle: resolvedColor("--idle-ground"),
      unknown: resolvedColor("--idle-ground"),
    },
    edge: {
      healthy: resolvedColor("--graph-edge"),
      degraded: health.degraded,
      failing: health.failing,
      idle: resolvedColor("--line-strong"),
      unknown: resolvedColor("--graph-edge"),
    },
    font: getComputedStyle(document.body).fontFamily || "sans-serif",
  };
}
