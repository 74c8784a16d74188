import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApplyAnswer, ConfigMessage, Problem, WhatIfAnswer } from "../../../api/dashboard/index.ts";
import { Dialog, Loading, Mark, Notice, ProblemNotice, toast } from "../components/index.ts";
import { problemOf, request } from "../requests.ts";
import { DiffView } from "./diff-view.tsx";
import { WhatIfResult } from "./what-if-result.tsx";
import { YamlEditor } from "./yaml-editor.tsx";
import { hasContent } from "./yaml-position.ts";

export interface ConfigEditorProps {
  readonly text: string;
  readonly onChange: (text: string) => void;
  /** The current YAML of the object. Empty for a new object. */
  readonly before: string;
  /** Empty for a new object. */
  readonly resourceVersion: string;
  /** Why the user may not write it. Undefined: the user may. */
  readonly readOnlyBecause: string | undefined;
  /** The messages of the current object, shown until the text changes. */
  readonly knownMessages: readonly ConfigMessage[];
  readonly onApplied: (answer: ApplyAnswer) => void;
  readonly tools?: ComponentChildren;
}

const settleMs = 400;

/** Edits objects. The text is checked while typing, and compared before it is applied. */
export function ConfigEditor({
  text,
  onChange,
  before,
  resourceVersion,
  readOnlyBecause,
  knownMessages,
  onApplied,
  tools,
}: ConfigEditorProps): JSX.Element {
  const dirty = text !== before;
  const { messages, checking, problem } = useValidation(text, dirty);
  const shown = dirty ? messages : knownMessages;
  const [reviewing, setReviewing] = useState(false);
  const whatIf = useWhatIf();
  const errors = shown.filter(({ level }) => level === "Error").length;
  const empty = !hasContent(text);
  return (
    <>
      <section class="card" aria-label="YAML">
        <div class="card-head">
          <h2>YAML</h2>
          {readOnlyBecause === undefined ? (
            dirty && before !== "" ? (
              <Mark tone="info">changed, not applied</Mark>
            ) : undefined
          ) : (
            <Mark tone="idle">read-only</Mark>
          )}
          <div class="card-tools">
            {tools}
            {dirty && before !== "" ? (
              <button type="button" class="button" data-kind="quiet" onClick={() => onChange(before)}>
                Undo all
              </button>
            ) : undefined}
            <button
              type="button"
              class="button"
              disabled={empty || whatIf.asking}
              title="Show which proxies would receive a changed configuration. This writes nothing"
              onClick={() => whatIf.ask(text)}
            >
              {whatIf.asking ? "Asking…" : "What if?"}
            </button>
            {readOnlyBecause === undefined ? (
              <button
                type="button"
                class="button"
                data-kind="primary"
                disabled={empty || !dirty}
                onClick={() => setReviewing(true)}
              >
                Review and apply
              </button>
            ) : undefined}
          </div>
        </div>
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
          note={
            problem !== undefined ? (
              <Mark tone="bad">Not checked: {problem.message}</Mark>
            ) : checking ? (
              <span class="muted">Checking…</span>
            ) : empty ? (
              <span class="muted">Paste or write one object or several.</span>
            ) : (
              <Mark tone="good">No messages</Mark>
            )
          }
        />
      </section>
      {whatIf.problem === undefined ? undefined : <ProblemNotice problem={whatIf.problem} />}
      {whatIf.answer === undefined ? undefined : <WhatIfResult answer={whatIf.answer} />}
      {reviewing ? (
        <ReviewDialog
          before={before}
          after={text}
          resourceVersion={resourceVersion}
          errors={errors}
          onClose={() => setReviewing(false)}
          onApplied={onApplied}
        />
      ) : undefined}
    </>
  );
}

/** The analyzer's messages for the text, requested when the user pauses typing. */
function useValidation(
  text: string,
  active: boolean,
): { readonly messages: readonly ConfigMessage[]; readonly checking: boolean; readonly problem: Problem | undefined } {
  const [state, setState] = useState<{
    readonly of: string;
    readonly messages: readonly ConfigMessage[];
    readonly problem: Problem | undefined;
  }>({ of: "", messages: [], problem: undefined });
  useEffect(() => {
    if (!active || !hasContent(text)) {
      setState({ of: text, messages: [], problem: undefined });
      return undefined;
    }
    const abort = new AbortController();
    const check = async (): Promise<void> => {
      try {
        const { messages } = await request("POST /api/validate", { yaml: text }, abort.signal);
        setState({ of: text, messages, problem: undefined });
      } catch (error) {
        if (!abort.signal.aborted)
          setState((before) => ({ of: text, messages: before.messages, problem: problemOf(error) }));
      }
    };
    const timer = setTimeout(() => void check(), settleMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, active]);
  return { messages: state.messages, checking: state.of !== text, problem: state.problem };
}

function useWhatIf(): {
  readonly answer: WhatIfAnswer | undefined;
  readonly problem: Problem | undefined;
  readonly asking: boolean;
  readonly ask: (yaml: string) => void;
} {
  const [state, setState] = useState<{
    readonly answer: WhatIfAnswer | undefined;
    readonly problem: Problem | undefined;
    readonly asking: boolean;
  }>({ answer: undefined, problem: undefined, asking: false });
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const ask = async (yaml: string): Promise<void> => {
    setState({ answer: undefined, problem: undefined, asking: true });
    const { signal } = abort.current;
    try {
      const answer = await request("POST /api/what-if", { yaml }, signal);
      setState({ answer, problem: undefined, asking: false });
    } catch (error) {
      if (!signal.aborted) setState({ answer: undefined, problem: problemOf(error), asking: false });
    }
  };
  return { ...state, ask: (yaml) => void ask(yaml) };
}

interface ReviewProps {
  readonly before: string;
  readonly after: string;
  readonly resourceVersion: string;
  readonly errors: number;
  readonly onClose: () => void;
  readonly onApplied: (answer: ApplyAnswer) => void;
}

/** Shows the change and the API server's answer to a dry run, before it can be applied. */
function ReviewDialog({ before, after, resourceVersion, errors, onClose, onApplied }: ReviewProps): JSX.Element {
  const [dryRun, setDryRun] = useState<ApplyAnswer | undefined>(undefined);
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  const [applying, setApplying] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    const run = async (): Promise<void> => {
      try {
        setDryRun(await request("POST /api/apply", { yaml: after, dryRun: true, resourceVersion }, abort.signal));
      } catch (error) {
        if (!abort.signal.aborted) setProblem(problemOf(error));
      }
    };
    void run();
    return () => abort.abort();
  }, []);
  const apply = async (): Promise<void> => {
    setApplying(true);
    try {
      const answer = await request("POST /api/apply", { yaml: after, dryRun: false, resourceVersion });
      toast("good", `Applied: ${answer.applied.join(", ")}`);
      onApplied(answer);
      onClose();
    } catch (error) {
      setProblem(problemOf(error));
      setApplying(false);
    }
  };
  return (
    <Dialog
      title={resourceVersion === "" ? "Create this?" : "Apply this change?"}
      size="wide"
      onClose={onClose}
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="button"
            class="button"
            data-kind="primary"
            disabled={dryRun === undefined || applying || problem !== undefined}
            onClick={() => void apply()}
          >
            {applying ? "Applying…" : "Apply"}
          </button>
        </>
      }
    >
      <DiffView before={before} after={after} label="The change that will be made" />
      {errors === 0 ? undefined : (
        <Notice tone="warn">
          The analyzer reports {errors === 1 ? "an error" : `${errors} errors`} in it: traffic may fail.
        </Notice>
      )}
      {problem !== undefined ? (
        <ProblemNotice problem={problem} />
      ) : dryRun === undefined ? (
        <Loading lines={2} label="The API server checks the change" />
      ) : (
        <Notice tone="good">The API server would accept the change: {dryRun.applied.join(", ")}.</Notice>
      )}
      {(dryRun?.warnings ?? []).map((warning) => (
        <Notice key={warning} tone="warn">
          {warning}
        </Notice>
      ))}
    </Dialog>
  );
}
