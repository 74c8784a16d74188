import type { ComponentChildren, JSX } from "preact";

export function Fact({
  title,
  note,
  children,
}: {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        {children}
        {note === undefined || note === "" ? undefined : <small>{note}</small>}
      </dd>
    </div>
  );
}

export function Labels({
  labels,
  none = "none",
}: {
  readonly labels: Readonly<Record<string, string>>;
  readonly none?: string;
}): JSX.Element {
  const pairs = Object.entries(labels);
  if (pairs.length === 0) return <span class="muted">{none}</span>;
  return (
    <ul class="labels">
      {pairs.map(([key, value]) => (
        <li key={key} class="mono">
          {key}
          {value === "" ? "" : `=${value}`}
        </li>
      ))}
    </ul>
  );
}
