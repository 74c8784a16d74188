import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "../components/index.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces, setQuery } from "../router.ts";
import { session } from "../session.ts";
import { Menu } from "./menu.tsx";

const maxNamed = 2;

export function NamespaceMenu(): JSX.Element {
  const chosen = chosenNamespaces.value === "" ? [] : chosenNamespaces.value.split(",");
  const text =
    chosen.length === 0
      ? "All namespaces"
      : chosen.length <= maxNamed
        ? chosen.join(", ")
        : `${chosen.length} namespaces`;
  return (
    <Menu
      label={`Namespaces: ${text}`}
      class="namespace-menu"
      button={
        <>
          <span class="ellipsis">{text}</span>
          <Icon name="down" size={12} />
        </>
      }
    >
      {() => <NamespaceChoice chosen={chosen} />}
    </Menu>
  );
}

function NamespaceChoice({ chosen }: { readonly chosen: readonly string[] }): JSX.Element {
  const [text, setText] = useState("");
  const overview = useLive("overview", {});
  const allowed = session.value?.namespaces ?? [];
  const known = allowed.includes("*")
    ? Object.values(overview.table("namespaces").value).map(({ name }) => name)
    : allowed;
  const shown = [...new Set([...known, ...chosen])].filter((name) => name.includes(text.toLowerCase())).sort();
  const choose = (names: readonly string[]): void => setQuery({ ns: [...names].sort().join(",") }, "push");
  return (
    <>
      <input
        class="input"
        type="text"
        aria-label="Find a namespace"
        placeholder="Find a namespace"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label>
        <input type="checkbox" checked={chosen.length === 0} onChange={() => choose([])} />
        All namespaces
      </label>
      {shown.map((name) => (
        <label key={name}>
          <input
            type="checkbox"
            checked={chosen.includes(name)}
            onChange={() =>
              choose(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name])
            }
          />
          {name}
        </label>
      ))}
      {shown.length === 0 ? <span class="menu-note">No namespace has a name with this text.</span> : undefined}
    </>
  );
}
