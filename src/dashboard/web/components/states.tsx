import type { ComponentChildren, JSX } from "preact";
import type { Problem } from "../../../api/dashboard/index.ts";
import { Icon, type IconName } from "./icon.tsx";
import type { Tone } from "./mark.tsx";

/** Stands in place of missing content. `children` explains why it is missing, and what to do. */
export function Empty({
  title,
  icon = "idle",
  children,
}: {
  readonly title: string;
  readonly icon?: IconName;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="state-block">
      <Icon name={icon} size={28} />
      <strong>{title}</strong>
      {children === undefined ? undefined : <p>{children}</p>}
    </div>
  );
}

const problemTitles: Readonly<Record<string, string>> = {
  forbidden: "You may not see this",
  "not-found": "This does not exist",
  unavailable: "This is not available now",
  conflict: "This was changed in the meantime",
  "logged-out": "Log in first",
};

/** Stands in place of content that a problem prevents. Says whether the page tries again by itself. */
export function ProblemBlock({
  problem,
  again = true,
}: {
  readonly problem: Problem;
  readonly again?: boolean;
}): JSX.Element {
  return (
    <div class="state-block" data-tone="bad" role="alert">
      <Icon name="bad" size={28} />
      <strong>{problemTitles[problem.code] ?? "An error occurred"}</strong>
      <p>{problem.message}</p>
      {problem.hint === undefined ? undefined : <p>{problem.hint}</p>}
      {again && problem.code !== "forbidden" ? <p class="small">The page tries again by itself.</p> : undefined}
    </div>
  );
}

export function Notice({
  tone,
  children,
  live = false,
}: {
  readonly tone: Tone;
  readonly children: ComponentChildren;
  readonly live?: boolean;
}): JSX.Element {
  return (
    <div class="notice" data-tone={tone} role={live ? "status" : undefined}>
      <Icon name={tone} />
      <div>{children}</div>
    </div>
  );
}

export function ProblemNotice({ problem }: { readonly problem: Problem }): JSX.Element {
  return (
    <Notice tone="bad" live>
      {problem.message} {problem.hint === undefined ? undefined : <span class="muted">{problem.hint}</span>}
    </Notice>
  );
}

/**
 * Keeps space free for content that is loading. It becomes visible only after a moment, so that fast content causes no
 * flicker.
 */
export function Loading({
  lines = 6,
  label = "Loading",
}: {
  readonly lines?: number;
  readonly label?: string;
}): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} />
      ))}
    </div>
  );
}
