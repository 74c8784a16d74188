import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import type { ApplyAnswer, ConfigMessage } from "../../../api/dashboard/index.ts";
import { Mark, ProblemNotice } from "../components/index.ts";
import { ReviewDialog } from "./review-dialog.tsx";
import { useValidation, type ValidationState } from "./use-validation.ts";
import { useWhatIf } from "./use-what-if.ts";
import { WhatIfResult } from "./what-if-result.tsx";
import { YamlEditor } from "./yaml-editor.tsx";
import { hasContent } from "./yaml-position.ts";

export interface ConfigEditorProps {
  readonly text: string;
  readonly onChange: (text: string) => void;
  /** The object's present YAML. Empty for a new object. */
  readonly before: string;
  /** Empty for a new object. */
  readonly resourceVersion: string;
  /** Why the user may not write the object. Undefined if the user may. */
  readonly readOnlyBecause: string | undefined;
  /** The messages about the present object. They are shown until the user changes the text. */
  readonly knownMessages: readonly ConfigMessage[];
  readonly onApplied: (answer: ApplyAnswer) => void;
  readonly tools?: ComponentChildren;
}

/** Edits objects. Checks the text while the user types, and shows a comparison before it is applied. */
export function ConfigEditor(props: ConfigEditorProps): JSX.Element {
  const { text, onChange, before, resourceVersion, readOnlyBecause, knownMessages, onApplied } = props;
  const dirty = text !== before;
  const validation = useValidation(text, dirty);
  const shown = dirty ? validation.messages : knownMessages;
  const [reviewing, setReviewing] = useState(false);
  const whatIf = useWhatIf();
  return (
    <>
      <section class="card" aria-label="YAML">
        <EditorHead
          {...props}
          asking={whatIf.asking}
          onAsk={() => whatIf.ask(text)}
          onReview={() => setReviewing(true)}
        />
        {readOnlyBecause === undefined ? undefined : (
          <p class="editor-note muted">
            {readOnlyBecause} You can edit the text to check it and to ask “What if?”, but you cannot apply it.
          </p>
        )}
        <YamlEditor
          text={text}
          onChange={onChange}
          readOnly={false}
          label={resourceVersion === "" ? "New object as YAML" : "The object as YAML"}
          messages={shown}
          note={<NoMessages validation={validation} empty={!hasContent(text)} />}
        />
      </section>
      {whatIf.problem === undefined ? undefined : <ProblemNotice problem={whatIf.problem} />}
      {whatIf.answer === undefined ? undefined : <WhatIfResult answer={whatIf.answer} />}
      {reviewing ? (
        <ReviewDialog
          before={before}
          after={text}
          resourceVersion={resourceVersion}
          errors={shown.filter(({ level }) => level === "Error").length}
          onClose={() => setReviewing(false)}
          onApplied={onApplied}
        />
      ) : undefined}
    </>
  );
}

function EditorHead({
  text,
  onChange,
  before,
  readOnlyBecause,
  tools,
  asking,
  onAsk,
  onReview,
}: ConfigEditorProps & {
  readonly asking: boolean;
  readonly onAsk: () => void;
  readonly onReview: () => void;
}): JSX.Element {
  const dirty = text !== before;
  const isChanged = dirty && before !== "";
  const empty = !hasContent(text);
  return (
    <div class="card-head">
      <h2>YAML</h2>
      {readOnlyBecause !== undefined ? (
        <Mark tone="idle">read-only</Mark>
      ) : isChanged ? (
        <Mark tone="info">changed, not applied</Mark>
      ) : undefined}
      <div class="card-tools">
        {tools}
        {isChanged ? (
          <button type="button" class="button" data-kind="quiet" onClick={() => onChange(before)}>
            Discard changes
          </button>
        ) : undefined}
        <button
          type="button"
          class="button"
          disabled={empty || asking}
          title="Show which proxies would receive a changed configuration. This writes nothing"
          onClick={onAsk}
        >
          {asking ? "Asking…" : "What if?"}
        </button>
        {readOnlyBecause === undefined ? (
          <button type="button" class="button" data-kind="primary" disabled={empty || !dirty} onClick={onReview}>
            Review and apply
          </button>
        ) : undefined}
      </div>
    </div>
  );
}

/** Shows why there is no message: nothing is wrong, or nothing was checked. */
function NoMessages({
  validation: { checking, problem },
  empty,
}: {
  readonly validation: ValidationState;
  readonly empty: boolean;
}): JSX.Element {
  if (problem !== undefined) return <Mark tone="bad">Not checked: {problem.message}</Mark>;
  if (checking) return <span class="muted">Checking…</span>;
  if (empty) return <span class="muted">Paste or write one object or several.</span>;
  return <Mark tone="good">No messages</Mark>;
}
