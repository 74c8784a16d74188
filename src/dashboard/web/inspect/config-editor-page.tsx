import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Page } from "../components/index.ts";
import { chosenNamespaces, go, linkTo } from "../router.ts";
import { session } from "../session.ts";
import { ConfigEditor } from "./config-editor.tsx";
import { draftOf, useKeptDraft } from "./drafts.ts";
import { configTemplates } from "./config-templates.ts";

const key = "new";

/** A page on which users write or paste new objects, check them, ask "What if?", and apply them. */
export function ConfigEditorPage(): JSX.Element {
  const [text, setText] = useState(draftOf(key)?.text ?? "");
  useKeptDraft(key, { text, before: "", resourceVersion: "" });
  const namespace = chosenNamespaces.value.split(",")[0] || "default";
  const anonymous = session.value?.authentication === "anonymous";
  return (
    <Page
      title="New object or what-if"
      crumbs={[{ title: "Config", path: ["config"] }]}
      subtitle="Paste objects to see which proxies they would change, or write an object and apply it."
    >
      <ConfigEditor
        text={text}
        onChange={setText}
        before=""
        resourceVersion=""
        readOnlyBecause={
          anonymous ? "You are not logged in, and the dashboard's own account has only read access." : undefined
        }
        knownMessages={[]}
        onApplied={() => {
          setText("");
          go(linkTo(["config"]));
        }}
        tools={
          <select
            class="select template-select"
            aria-label="Begin with"
            value=""
            onChange={(event) => {
              const template = configTemplates[Number(event.currentTarget.value)];
              if (template !== undefined) setText(template.yaml(namespace));
              event.currentTarget.value = "";
            }}
          >
            <option value="">Begin with…</option>
            {configTemplates.map(({ title }, index) => (
              <option key={title} value={String(index)}>
                {title}
              </option>
            ))}
          </select>
        }
      />
    </Page>
  );
}
