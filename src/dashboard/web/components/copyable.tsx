import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { colorYaml } from "./yaml-tokens.ts";

const outcomeShownMs = 2_000;

function CopyButton({
  text,
  what,
  kind,
}: {
  readonly text: string;
  readonly what: string;
  readonly kind?: string;
}): JSX.Element {
  const [outcome, setOutcome] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome("Copied");
    } catch {
      setOutcome("Select it");
    }
    setTimeout(() => setOutcome(""), outcomeShownMs);
  };
  return (
    <button type="button" class={kind} aria-label={`Copy ${what}`} onClick={() => void copy()}>
      <span aria-live="polite">{outcome === "" ? "Copy" : outcome}</span>
    </button>
  );
}

/** The command that does the same, with a button to copy it. */
export function CommandLine({ command }: { readonly command: string }): JSX.Element {
  return (
    <div class="command">
      <code tabIndex={0}>{command}</code>
      <CopyButton text={command} what="the command" />
    </div>
  );
}

export function YamlBlock({ yaml, label = "YAML" }: { readonly yaml: string; readonly label?: string }): JSX.Element {
  return (
    <div class="yaml">
      <CopyButton text={yaml} what={label} kind="button copy" />
      <pre tabIndex={0} role="region" aria-label={label}>
        <code>
          {colorYaml(yaml).map(({ kind, text }, index) =>
            kind === "plain" ? (
              text
            ) : (
              <span key={index} class={kind}>
                {text}
              </span>
            ),
          )}
        </code>
      </pre>
    </div>
  );
}
