import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { ConfigHead } from "../../../api/dashboard/index.ts";
import { Age, DataTable, Dialog, Empty, Mark, Notice, Page } from "../components/index.ts";
import { useLive, type Live } from "../live/index.ts";
import type { RouteParameters } from "../route-parameters.ts";
import { session } from "../session.ts";
import { ConfigEditor } from "./config-editor.tsx";
import { DiffView } from "./diff-view.tsx";
import { configColumns, Validation } from "./inspect-columns.tsx";
import { useEditedObject } from "./use-edited-object.ts";

export function ConfigPage({ apiVersion, kind, namespace, name }: Required<RouteParameters>): JSX.Element {
  const inNamespace = namespace === "-" ? "" : namespace;
  const live = useLive("config", { apiVersion, kind, namespace: inNamespace, name });
  const head = live.head.value;
  return (
    <Page
      title={name}
      crumbs={[{ title: "Config", path: ["config"] }]}
      live={live}
      subtitle={
        <span class="row">
          {head === undefined ? undefined : <Validation row={head.row} />}
          <span>
            {kind} {inNamespace === "" ? "of the whole cluster" : `in ${inNamespace}`} · {apiVersion}
          </span>
          {head?.row.createdAtMs === undefined ? undefined : (
            <span>
              created <Age atMs={head.row.createdAtMs} />
            </span>
          )}
        </span>
      }
    >
      {head === undefined ? undefined : <Content head={head} live={live} />}
    </Page>
  );
}

function Content({ head, live }: { readonly head: ConfigHead; readonly live: Live<"config"> }): JSX.Element {
  const gone = live.problem.value?.code === "not-found";
  const { text, setText, base, conflicts, take, applied } = useEditedObject(head, live.topic);
  const [comparing, setComparing] = useState(false);
  const messages = live.table("messages").value;
  const known = useMemo(() => Object.values(messages), [messages]);
  const references = live.table("references").value;
  return (
    <>
      {gone ? (
        <Notice tone="bad">The object was deleted in the meantime. You can still copy its last text.</Notice>
      ) : undefined}
      {conflicts ? (
        <Notice tone="warn" live>
          Somebody has changed the object while you edit it.{" "}
          <button type="button" class="link-button" onClick={() => setComparing(true)}>
            What has changed
          </button>{" "}
          ·{" "}
          <button type="button" class="link-button" onClick={take}>
            Discard your text, and load the current object
          </button>
        </Notice>
      ) : undefined}
      <ConfigEditor
        text={text}
        onChange={setText}
        before={base.yaml}
        resourceVersion={base.resourceVersion}
        readOnlyBecause={gone ? "The object is deleted." : readOnlyBecause(head)}
        knownMessages={known}
        onApplied={applied}
      />
      {head.conditions.length === 0 ? undefined : <Conditions head={head} />}
      <DataTable
        label="Objects that this object refers to, and objects that refer to it"
        title="References"
        id="r"
        noun={["object", "objects"]}
        rows={references}
        columns={configColumns}
        order="kind"
        empty={
          <Empty title="No references">
            This object refers to no other object of the mesh's kinds, and no object refers to it.
          </Empty>
        }
      />
      {comparing ? (
        <Dialog title="Changes by somebody else" size="wide" onClose={() => setComparing(false)}>
          <DiffView before={base.yaml} after={head.yaml} label="From the object that you loaded to the current one" />
        </Dialog>
      ) : undefined}
    </>
  );
}

function readOnlyBecause({ mayWrite, row }: ConfigHead): string | undefined {
  if (mayWrite) return undefined;
  const { user = "", authentication = "none" } = session.value ?? {};
  if (authentication === "anonymous")
    return "You are not logged in, and the dashboard's own account has only read access. Log in with a token to write.";
  return `${user === "" ? "You" : user} may not update ${row.kind} objects ${row.namespace === "" ? "of the cluster" : `in ${row.namespace}`}: a Role with the verb update on them grants it.`;
}

function Conditions({ head }: { readonly head: ConfigHead }): JSX.Element {
  return (
    <section class="card">
      <div class="card-head">
        <h2>Conditions</h2>
      </div>
      <ul class="card-body stack">
        {head.conditions.map(({ type, status, reason, message }) => (
          <li key={type} class="condition">
            <Mark tone={status === "True" ? "good" : status === "False" ? "bad" : "idle"}>{type}</Mark>
            <span>
              {reason === undefined || reason === "" ? "" : `${reason}: `}
              {message}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
