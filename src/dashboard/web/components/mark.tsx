import type { ComponentChildren, JSX } from "preact";
import type { Health, LadderProxy, RolloutRow } from "../../../api/dashboard/index.ts";
import { Icon, type IconName } from "./icon.tsx";

/** The tones of marks. Each has a shape of its own, so that no meaning depends on colour alone. */
export type Tone = "good" | "warn" | "bad" | "info" | "idle";

/** Shows a state by an icon and a word. With `quiet`, only screen readers get the word. */
export function Mark({
  tone,
  icon,
  quiet = false,
  title,
  children,
}: {
  readonly tone: Tone;
  readonly icon?: IconName;
  readonly quiet?: boolean;
  readonly title?: string | undefined;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <span class="mark" data-tone={tone} title={title}>
      <Icon name={icon ?? tone} size={14} />
      <span class={quiet ? "visually-hidden" : "ellipsis"}>{children}</span>
    </span>
  );
}

const healthTones: Readonly<Record<Health, Tone>> = {
  healthy: "good",
  degraded: "warn",
  failing: "bad",
  idle: "idle",
  unknown: "idle",
};

/** `reason` is a tooltip, which screen readers also read. */
export function HealthMark({
  health,
  reason = "",
  quiet = false,
}: {
  readonly health: Health;
  readonly reason?: string;
  readonly quiet?: boolean;
}): JSX.Element {
  return (
    <Mark
      tone={healthTones[health]}
      quiet={quiet}
      title={reason === "" ? health : `${health}: ${reason}`}
      {...(health === "unknown" ? { icon: "unknown" as const } : {})}
    >
      {health}
      {reason === "" ? "" : <span class="visually-hidden">: {reason}</span>}
    </Mark>
  );
}

const proxyTones: Readonly<Record<LadderProxy["state"], Tone>> = {
  synced: "good",
  stale: "warn",
  rejected: "bad",
  "not connected": "idle",
};

export function ProxyMark({
  state,
  reason = "",
}: {
  readonly state: LadderProxy["state"];
  readonly reason?: string;
}): JSX.Element {
  return (
    <Mark tone={proxyTones[state]} title={reason}>
      {state}
    </Mark>
  );
}

const phaseMarks: Readonly<Record<Exclude<RolloutRow["phase"], "">, { readonly tone: Tone; readonly icon: IconName }>> =
  {
    Planned: { tone: "info", icon: "info" },
    Preflight: { tone: "info", icon: "moving" },
    Progressing: { tone: "info", icon: "moving" },
    Settling: { tone: "info", icon: "moving" },
    Judging: { tone: "info", icon: "moving" },
    Soaking: { tone: "info", icon: "moving" },
    Retiring: { tone: "info", icon: "moving" },
    Waiting: { tone: "warn", icon: "paused" },
    Paused: { tone: "warn", icon: "paused" },
    Watching: { tone: "idle", icon: "idle" },
    RollingBack: { tone: "warn", icon: "undone" },
    Completed: { tone: "good", icon: "good" },
    RolledBack: { tone: "bad", icon: "undone" },
    Stuck: { tone: "bad", icon: "bad" },
  };

const phaseWords: Readonly<Record<string, string>> = { RollingBack: "Rolling back", RolledBack: "Rolled back" };

export function PhaseMark({ phase }: { readonly phase: RolloutRow["phase"] }): JSX.Element {
  if (phase === "") return <Mark tone="idle">Not seen yet</Mark>;
  return <Mark {...phaseMarks[phase]}>{phaseWords[phase] ?? phase}</Mark>;
}

export function Tag({
  tone,
  title,
  wrapped = false,
  children,
}: {
  readonly tone?: Tone;
  readonly title?: string;
  readonly wrapped?: boolean;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <span class={wrapped ? "tag wrapped" : "tag"} data-tone={tone} title={title}>
      {children}
    </span>
  );
}
