import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Icon } from "./icon.tsx";
import { withValue, type SearchDraft } from "./search-draft.ts";

const settleMs = 120;

/** A field that filters the content below. `/` moves the focus to it, and Escape empties it. */
export function SearchField({
  label,
  value,
  onChange,
}: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}): JSX.Element {
  const [draft, setDraft] = useState<SearchDraft>({ text: value, passedOn: value });
  const { text } = draft;
  const setText = (typed: string): void => setDraft((before) => ({ ...before, text: typed }));
  useEffect(() => setDraft((before) => withValue(before, value)), [value]);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => {
      setDraft((before) => ({ ...before, passedOn: text }));
      onChange(text);
    }, settleMs);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <span class="search">
      <Icon name="search" size={13} />
      <input
        class="input"
        type="search"
        aria-label={label}
        placeholder={label}
        aria-keyshortcuts="/"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          if (text === "") event.currentTarget.blur();
          setText("");
        }}
      />
    </span>
  );
}
