import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { ConfigMessage } from "../../../api/dashboard/index.ts";
import { rangeOfMessage } from "./yaml-position.ts";

export interface EditorOptions {
  readonly host: HTMLElement;
  readonly text: string;
  readonly label: string;
  readonly readOnly: boolean;
  readonly onChange: (text: string) => void;
}

const theme = EditorView.theme({
  "&": {
    color: "var(--text)",
    backgroundColor: "var(--surface)",
    fontSize: "13px",
    minHeight: "260px",
    maxHeight: "min(60dvh, 760px)",
  },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.55", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-content, .cm-gutter": { minHeight: "260px" },
  ".cm-gutters": {
    backgroundColor: "var(--surface-2)",
    color: "var(--text-muted)",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--accent-ground) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--surface-3)", color: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--accent-ground)",
  },
  ".cm-tooltip": {
    backgroundColor: "var(--surface)",
    color: "var(--text)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    boxShadow: "var(--shadow-large)",
    maxWidth: "52ch",
  },
  ".cm-diagnostic": { borderLeftWidth: "4px", padding: "5px 10px", fontFamily: "var(--font)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" },
  ".cm-diagnostic-info": { borderLeftColor: "var(--info)" },
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad) 1.5px",
    textUnderlineOffset: "3px",
  },
  ".cm-lintRange-warning": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--warn) 1.5px",
    textUnderlineOffset: "3px",
  },
  ".cm-lintRange-info": {
    backgroundImage: "none",
    textDecoration: "underline dotted var(--info) 1.5px",
    textUnderlineOffset: "3px",
  },
  ".cm-gutter-lint": { width: "1.5em" },
  ".cm-foldGutter .cm-gutterElement": { color: "var(--text-muted)", cursor: "pointer" },
  ".cm-foldPlaceholder": {
    backgroundColor: "var(--surface-3)",
    border: "0",
    color: "var(--text-muted)",
    padding: "0 6px",
  },
  ".cm-matchingBracket": { backgroundColor: "var(--surface-3)" },
});

const highlight = HighlightStyle.define([
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.bool, tags.number, tags.null, tags.keyword], color: "var(--warn)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--text-muted)", fontStyle: "italic" },
  { tag: [tags.meta, tags.typeName, tags.labelName], color: "var(--series-4)" },
]);

const severities = { Error: "error", Warning: "warning", Info: "info" } as const;

/**
 * The editor. It is in a shadow root that adopts its style sheets, because the page's content security policy forbids
 * `<style>`.
 */
export class CodeMirrorEditor {
  readonly #view: EditorView;
  readonly #readOnly = new Compartment();
  #silent = false;

  constructor({ host, text, label, readOnly, onChange }: EditorOptions) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    // Key events must not leave the shadow root. Outside, their target is the host, which is no text field, so letters
    // would be shortcuts.
    root.addEventListener("keydown", (event) => event.stopPropagation());
    const extensions: Extension[] = [
      lineNumbers(),
      // Show invisible characters and those that change the writing direction: they could make an object look like
      // another.
      highlightSpecialChars(),
      foldGutter(),
      lintGutter(),
      history(),
      drawSelection(),
      indentOnInput(),
      bracketMatching(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      indentUnit.of("  "),
      EditorState.tabSize.of(2),
      yaml(),
      syntaxHighlighting(highlight),
      theme,
      keymap.of([...defaultKeymap, ...historyKeymap, ...foldKeymap]),
      EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off" }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged && !this.#silent) onChange(update.state.doc.toString());
      }),
      this.#readOnly.of(EditorState.readOnly.of(readOnly)),
    ];
    this.#view = new EditorView({ parent: root, root, state: EditorState.create({ doc: text, extensions }) });
  }

  get text(): string {
    return this.#view.state.doc.toString();
  }

  setText(text: string): void {
    if (text === this.text) return;
    this.#silent = true;
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
    this.#silent = false;
  }

  setReadOnly(readOnly: boolean): void {
    this.#view.dispatch({ effects: this.#readOnly.reconfigure(EditorState.readOnly.of(readOnly)) });
  }

  /** Shows messages for the text that was checked. If the text has changed since then, lines may be slightly wrong. */
  setMessages(messages: readonly ConfigMessage[]): void {
    const text = this.text;
    const diagnostics = messages.map((message): Diagnostic => {
      const { from, to } = rangeOfMessage(text, message);
      return {
        from,
        to,
        severity: severities[message.level],
        message: message.message,
        ...(message.code === "" ? {} : { source: message.code }),
      };
    });
    this.#view.dispatch(setDiagnostics(this.#view.state, diagnostics));
  }

  jumpTo(message: Pick<ConfigMessage, "line" | "column">): void {
    const { from, to } = rangeOfMessage(this.text, message);
    this.#view.dispatch({
      selection: { anchor: from, head: to },
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
    this.#view.focus();
  }

  close(): void {
    this.#view.destroy();
  }
}
