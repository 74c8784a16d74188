import type { JSX } from "preact";
import { graphGroupings } from "../../../api/dashboard/index.ts";
import { HealthMark, SearchField } from "../components/index.ts";
import { setQuery } from "../router.ts";
import type { GraphFilters } from "./display-graph.ts";
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

export function GraphTools({ state, mode, protocols, found, onNextFound }: GraphToolsProps): JSX.Element {
  return (
    <>
      {mode === "table" ? undefined : <GraphSearch search={state.search} found={found} onNextFound={onNextFound} />}
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
      <FilterMenu filters={state.filters} protocols={protocols} />
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

function GraphSearch({
  search,
  found,
  onNextFound,
}: {
  readonly search: string;
  readonly found: number;
  readonly onNextFound: () => void;
}): JSX.Element {
  return (
    <span
      class="graph-search"
      onKeyDown={(event) => {
        if (event.key === "Enter") onNextFound();
      }}
    >
      <SearchField label="Find in the graph" value={search} onChange={(q) => setQuery({ q })} />
      {search === "" ? undefined : (
        <span class="small muted nowrap" role="status">
          {found === 0 ? "none" : `${found} found`}
        </span>
      )}
    </span>
  );
}

function FilterMenu({
  filters,
  protocols,
}: {
  readonly filters: GraphFilters;
  readonly protocols: readonly string[];
}): JSX.Element {
  const count = filterCount(filters);
  return (
    <details class="menu">
      <summary class="button" aria-label={`Filters${count === 0 ? "" : `, ${count} set`}`}>
        Filters {count === 0 ? undefined : <span class="count">{count}</span>}
      </summary>
      <div class="menu-panel">
        <fieldset class="graph-filter">
          <legend>Health</legend>
          {healths.map((health) => (
            <label key={health}>
              <input
                type="checkbox"
                checked={filters.health.has(health)}
                onChange={() => setQuery({ health: toggled(filters.health, health) })}
              />
              <HealthMark health={health} />
            </label>
          ))}
        </fieldset>
        <fieldset class="graph-filter">
          <legend>Protocol</legend>
          {[...new Set([...protocols, ...filters.protocols])].map((protocol) => (
            <label key={protocol}>
              <input
                type="checkbox"
                checked={filters.protocols.has(protocol)}
                onChange={() => setQuery({ protocol: toggled(filters.protocols, protocol) })}
              />
              {protocol}
            </label>
          ))}
        </fieldset>
        <TrafficFilters filters={filters} />
        <button
          type="button"
          class="button"
          disabled={count === 0}
          onClick={() => setQuery({ health: "", protocol: "", idle: "", min: "" })}
        >
          Show all
        </button>
      </div>
    </details>
  );
}

function TrafficFilters({ filters }: { readonly filters: GraphFilters }): JSX.Element {
  return (
    <fieldset class="graph-filter">
      <legend>Traffic</legend>
      <label>
        <input
          type="checkbox"
          checked={filters.hideIdle}
          onChange={() => setQuery({ idle: filters.hideIdle ? "" : "hide" })}
        />
        Hide idle nodes and edges
      </label>
      <label title="The connections of ztunnels to and from waypoints. The requests in them have edges of their own.">
        <input
          type="checkbox"
          checked={filters.showHops}
          onChange={() => setQuery({ hops: filters.showHops ? "" : "show" })}
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
          value={filters.minimumRate === 0 ? "" : filters.minimumRate}
          onChange={(event) => setQuery({ min: event.currentTarget.value })}
        />
        per second at least
      </label>
    </fieldset>
  );
}
