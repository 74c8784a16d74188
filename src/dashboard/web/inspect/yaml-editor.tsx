import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ConfigMessage } from "../../../api/dashboard/index.ts";
import { Loading, Mark, ProblemBlock, type Tone } from "../components/index.ts";
import type { CodeMirrorEditor } from "./code-mirror.ts";
import { orderMessages } from "./yaml-position.ts";

export interface YamlEditorProps {
  readonly text: string;
  readonly onChange: (text: string) => void;
  readonly readOnly: boolean;
  readonly label: string;
  readonly messages: readonly ConfigMessage[];
  /** Shown if there is no message: the text is valid, or is being checked. */
  readonly note: JSX.Element;
}

const tones: Readonly<Record<ConfigMessage["level"], Tone>> = { Error: "bad", Warning: "warn", Info: "info" };

/**
 * An editor for YAML. Messages are at their lines, and in a list with links below. The editor's code is loaded when it
 * is first needed.
 */
export function YamlEditor(props: YamlEditorProps): JSX.Element {
  const { messages, note } = props;
  const { host, state, jumpTo } = useCodeMirror(props);
  return (
    <>
      <div ref={host} class="editor" data-ready={state === "ready"} />
      {state === "loading" ? <Loading lines={10} /> : undefined}
      {state === "failed" ? (
        <ProblemBlock
          problem={{
            code: "unavailable",
            message: "The browser could not load the code of the editor.",
            hint: "Reload the page.",
          }}
          again={false}
        />
      ) : undefined}
      <section class="editor-messages" aria-label="Messages">
        <div role="status">
          {messages.length === 0 ? <p>{note}</p> : <MessageList messages={messages} onJump={jumpTo} />}
        </div>
      </section>
    </>
  );
}

function MessageList({
  messages,
  onJump,
}: {
  readonly messages: readonly ConfigMessage[];
  readonly onJump: (message: ConfigMessage) => void;
}): JSX.Element {
  return (
    <ul>
      {orderMessages(messages).map((message) => (
        <li key={`${message.line} ${message.column} ${message.code} ${message.message}`}>
          <Mark tone={tones[message.level]}>{message.level}</Mark>
          {message.code === "" ? undefined : <span class="mono small">{message.code}</span>}
          <button type="button" class="link-button" onClick={() => onJump(message)}>
            line {message.line}
          </button>
          <span>
            {message.message}
            {message.path === "" ? undefined : <span class="muted mono small"> {message.path}</span>}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Keeps an editor in the element `host` that has the page's text, messages and mode. */
function useCodeMirror({ text, onChange, readOnly, label, messages }: Omit<YamlEditorProps, "note">): {
  readonly host: { readonly current: HTMLDivElement | null };
  readonly state: "loading" | "ready" | "failed";
  readonly jumpTo: (message: ConfigMessage) => void;
} {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<CodeMirrorEditor | undefined>(undefined);
  const [state, setState] = useState<"loading" | "ready" | "failed">("loading");
  const changed = useRef(onChange);
  changed.current = onChange;
  /**
   * Texts that the user has typed, and that have not come back as `text` yet. One that comes back must not undo what
   * was typed after it.
   */
  const typed = useRef<string[]>([]);
  const initial = useRef({ text, readOnly });
  initial.current = { text, readOnly };

  useEffect(() => {
    let gone = false;
    const load = async (): Promise<void> => {
      try {
        const { CodeMirrorEditor: Editor } = await import("./code-mirror.ts");
        if (gone || host.current === null) return;
        const onTyped = (next: string): void => {
          typed.current.push(next);
          changed.current(next);
        };
        editor.current = new Editor({ host: host.current, label, onChange: onTyped, ...initial.current });
        setState("ready");
      } catch {
        if (!gone) setState("failed");
      }
    };
    void load();
    return () => {
      gone = true;
      editor.current?.close();
      editor.current = undefined;
    };
  }, []);
  useEffect(() => {
    const at = typed.current.lastIndexOf(text);
    if (at === -1) editor.current?.setText(text);
    typed.current.splice(0, at === -1 ? Infinity : at + 1);
  }, [text, state]);
  useEffect(() => editor.current?.setReadOnly(readOnly), [readOnly, state]);
  useEffect(() => editor.current?.setMessages(messages), [messages, state]);
  return { host, state, jumpTo: (message) => editor.current?.jumpTo(message) };
}
