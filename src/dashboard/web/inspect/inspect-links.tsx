import type { JSX } from "preact";
import type { ConfigRow } from "../../../api/dashboard/index.ts";
import { linkTo } from "../router.ts";

export function WorkloadLink({
  namespace,
  name,
  text = name,
}: {
  readonly namespace: string;
  readonly name: string;
  readonly text?: string;
}): JSX.Element {
  return (
    <a href={linkTo(["workloads", namespace, name])} title={`${namespace}/${name}`}>
      {text}
    </a>
  );
}

export function ServiceLink({ namespace, name }: { readonly namespace: string; readonly name: string }): JSX.Element {
  return (
    <a href={linkTo(["services", namespace, name])} title={`${namespace}/${name}`}>
      {name}
    </a>
  );
}

export function ConfigLink({
  row,
}: {
  readonly row: Pick<ConfigRow, "apiVersion" | "kind" | "namespace" | "name">;
}): JSX.Element {
  return (
    <a
      href={linkTo(["config", row.apiVersion, row.kind, row.namespace, row.name])}
      title={`${row.kind} ${row.namespace === "" ? "" : `${row.namespace}/`}${row.name}`}
    >
      {row.name}
    </a>
  );
}

export function graphLink(namespace: string, search: string): string {
  return linkTo(["graph"], { ns: namespace, q: search });
}
