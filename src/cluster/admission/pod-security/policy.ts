import type { Labels } from "../../../api/index.ts";

/** The levels of the Pod Security Standards, from the least to the most restrictive. */
export const levels = ["privileged", "baseline", "restricted"] as const;
export type Level = (typeof levels)[number];

/** A minor version of Kubernetes 1, or `latest`. */
export type Version = number | "latest";

export interface LevelVersion {
  readonly level: Level;
  readonly version: Version;
}

export interface Policy {
  readonly enforce: LevelVersion;
  readonly audit: LevelVersion;
  readonly warn: LevelVersion;
}

export interface LabelFault {
  readonly field: string;
  readonly message: string;
}

const prefix = "pod-security.kubernetes.io/";
const privileged: LevelVersion = { level: "privileged", version: "latest" };

/** The level in a message, such as `restricted:v1.30`. */
export function levelText({ level, version }: LevelVersion): string {
  return `${level}:${version === "latest" ? version : `v1.${version}`}`;
}

export function isSame(left: LevelVersion, right: LevelVersion): boolean {
  return left.level === right.level && left.version === right.version;
}

export function isStricter(left: Level, right: Level): boolean {
  return levels.indexOf(left) > levels.indexOf(right);
}

/**
 * The policy that a namespace's labels set, by Kubernetes' rules. Without labels, everything is allowed. An unknown
 * level is treated as restricted for `enforce` and as privileged for other modes. An unknown version is treated as the
 * latest. If only `enforce` is set, its level also applies to `warn`.
 */
export function policyOf(labels: Labels = {}): { readonly policy: Policy; readonly faults: readonly LabelFault[] } {
  const faults: LabelFault[] = [];
  const read = (mode: keyof Policy, whenUnknown: Level): LevelVersion => {
    const [level, version] = [labels[`${prefix}${mode}`], labels[`${prefix}${mode}-version`]];
    const known = level === undefined ? privileged.level : levels.find((name) => name === level);
    if (known === undefined) faults.push(fault(`${prefix}${mode}`, level ?? "", `must be one of ${levels.join(", ")}`));
    const parsed = version === undefined ? privileged.version : versionOf(version);
    if (parsed === undefined)
      faults.push(fault(`${prefix}${mode}-version`, version ?? "", `must be "latest" or "v1.x"`));
    return { level: known ?? whenUnknown, version: parsed ?? "latest" };
  };
  const [enforce, audit, warn] = [
    read("enforce", "restricted"),
    read("audit", "privileged"),
    read("warn", "privileged"),
  ];
  const followsEnforce =
    labels[`${prefix}warn`] === undefined && levels.some((level) => level === labels[`${prefix}enforce`]);
  const warned =
    followsEnforce && isStricter(enforce.level, warn.level)
      ? {
          level: enforce.level,
          version: labels[`${prefix}warn-version`] === undefined ? enforce.version : warn.version,
        }
      : warn;
  return { policy: { enforce, audit, warn: warned }, faults };
}

function versionOf(text: string): Version | undefined {
  if (text === "latest") return text;
  const minor = /^v1\.(0|[1-9]\d*)$/.exec(text)?.[1];
  return minor === undefined ? undefined : Number(minor);
}

function fault(label: string, value: string, demand: string): LabelFault {
  return {
    field: `metadata.labels[${label}]`,
    message: `Invalid value: ${JSON.stringify(value)}: ${demand}`,
  };
}
