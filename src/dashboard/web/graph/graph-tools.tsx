import type { JSX } from "preact";
import { graphGroupings } from "../../../api/dashboard/index.ts";
import { HealthMark, SearchField } from "../components/index.ts";
import { setQuery } from "../router.ts";
import { edgeLabels, edgeLabelTitles } from "./edge-label.ts";
import { filterCount, healths, toggled, type GraphState } from "./graph-state.ts";
import { groupingTitles } from "./graph-words.ts";

export interface GraphToolsProps {
  readonly state: GraphState;
  readonly mode: "graph" | "table";
  readonly protocols: readonly string[];
  readonly found: number;
  readonly onNextFound: () => void;
}

/** Search, grouping, labels, filters, and the choice between drawing and table. */
export function GraphTools({ state, mode, protocols, found, onNextFound }: GraphToolsProps): JSX.Element {
  const filters = filterCount(state.filters);
  return (
    <>
      {mode === "table" ? undefined : (
        <span
          class="graph-search"
          onKeyDown={(event) => {
            if (event.key === "Enter") onNextFound();
          }}
        >
          <SearchField label="Find in the graph" value={state.search} onChange={(q) => setQuery({ q })} />
          {state.search === "" ? undefined : (
            <span class="small muted nowrap" role="status">
              {found === 0 ? "none" : `${found} found`}
            </span>
          )}
        </span>
      )}
      <select
        class="select graph-select"
        aria-label="Show"
        value={state.by}
        onChange={(event) => setQuery({ by: event.currentTarget.value, sel: "" }, "push")}
      >
        {graphGroupings.map((name) => (
          <option key={name} value={name}>
            {groupingTitles[name]}
          </option>
        ))}
      </select>
      {mode === "table" ? undefined : (
        <select
          class="select graph-select"
          aria-label="On edges"
          value={state.label}
          onChange={(event) => setQuery({ label: event.currentTarget.value })}
        >
          {edgeLabels.map((name) => (
            <option key={name} value={name}>
              {edgeLabelTitles[name]}
            </option>
          ))}
        </select>
      )}
      <details class="menu">
        <summary class="button" aria-label={`Filters${filters === 0 ? "" : `, ${filters} set`}`}>
          Filters {filters === 0 ? undefined : <span class="count">{filters}</span>}
        </summary>
        <div class="menu-panel">
          <fieldset class="graph-filter">
            <legend>Health</legend>
            {healths.map((health) => (
              <label key={health}>
                <input
                  type="checkbox"
                  checked={state.filters.health.has(health)}
                  onChange={() => setQuery({ health: toggled(state.filters.health, health) })}
                />
                <HealthMark health={health} />
              </label>
            ))}
          </fieldset>
          <fieldset class="graph-filter">
            <legend>Protocol</legend>
            {[...new Set([...protocols, ...state.filters.protocols])].map((protocol) => (
              <label key={protocol}>
                <input
                  type="checkbox"
                  checked={state.filters.protocols.has(protocol)}
                  onChange={() => setQuery({ protocol: toggled(state.filters.protocols, protocol) })}
                />
                {protocol}
              </label>
            ))}
          </fieldset>
          <fieldset class="graph-filter">
            <legend>Traffic</legend>
            <label>
              <input
                type="checkbox"
                checked={state.filters.hideIdle}
                onChange={() => setQuery({ idle: state.filters.hideIdle ? "" : "hide" })}
              />
              Hide idle nodes and edges
            </label>
            <label title="The connections of ztunnels to and from waypoints. The requests in them have edges of their own.">
              <input
                type="checkbox"
                checked={state.filters.showHops}
                onChange={() => setQuery({ hops: state.filters.showHops ? "" : "show" })}
              />
              Show connections through waypoints
            </label>
            <label>
              <input
                class="input graph-number"
                type="number"
                min={0}
                step="any"
                placeholder="0"
                value={state.filters.minimumRate === 0 ? "" : state.filters.minimumRate}
                onChange={(event) => setQuery({ min: event.currentTarget.value })}
              />
              per second at least
            </label>
          </fieldset>
          <button
            type="button"
            class="button"
            disabled={filters === 0}
            onClick={() => setQuery({ health: "", protocol: "", idle: "", min: "" })}
          >
            Show all
          </button>
        </div>
      </details>
      <div class="segmented" role="group" aria-label="View">
        <button type="button" aria-pressed={mode === "graph"} onClick={() => setQuery({ as: "graph" })}>
          Graph
        </button>
        <button type="button" aria-pressed={mode === "table"} onClick={() => setQuery({ as: "table" })}>
          Table
        </button>
      </div>
    </>
  );
}
