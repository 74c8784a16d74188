import type { JSX } from "preact";
import type { GraphNode } from "../../../api/dashboard/index.ts";
import { HealthMark, Icon } from "../components/index.ts";
import { healths } from "./graph-state.ts";

const kinds: readonly { readonly kind: GraphNode["kind"]; readonly words: string; readonly shape: JSX.Element }[] = [
  { kind: "workload", words: "Workload", shape: <rect x="1" y="2" width="38" height="14" rx="5" /> },
  { kind: "app", words: "App", shape: <rect x="1" y="2" width="38" height="14" rx="1.5" /> },
  { kind: "service", words: "Service", shape: <rect x="1" y="2" width="38" height="14" rx="7" /> },
  { kind: "gateway", words: "Gateway", shape: <path d="M1 2h31l7 7-7 7H1z" /> },
  { kind: "waypoint", words: "Waypoint", shape: <path d="M7 2h26l6 7-6 7H7L1 9z" /> },
  { kind: "ztunnel", words: "ztunnel", shape: <path d="M5 2h30l4 4v6l-4 4H5l-4-4V6z" /> },
  {
    kind: "external",
    words: "Outside of the mesh",
    shape: <rect x="1" y="2" width="38" height="14" rx="5" stroke-dasharray="4 3" />,
  },
  {
    kind: "unknown",
    words: "Unknown origin",
    shape: <rect x="1" y="2" width="38" height="14" rx="7" stroke-dasharray="4 3" />,
  },
];

export function GraphLegend({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <section class="graph-legend card" aria-label="Legend">
      <div class="spread">
        <h2>Legend</h2>
        <button type="button" class="button" data-kind="quiet" aria-label="Close the legend" onClick={onClose}>
          <Icon name="close" size={12} />
        </button>
      </div>
      <ul class="graph-legend-list">
        {kinds.map(({ kind, words, shape }) => (
          <li key={kind}>
            <svg
              width="40"
              height="18"
              viewBox="0 0 40 18"
              fill="none"
              stroke="currentColor"
              stroke-width="1.2"
              aria-hidden="true"
            >
              {shape}
            </svg>
            {words}
          </li>
        ))}
      </ul>
      <ul class="graph-legend-list">
        {healths.map((health) => (
          <li key={health}>
            <HealthMark health={health} />
          </li>
        ))}
        <li>
          <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
            <rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor" />
            <path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2" fill="none" stroke="currentColor" stroke-width="1.6" />
          </svg>
          All mutual TLS; an open lock: none
        </li>
      </ul>
      <p class="small muted">
        Thicker lines and more, faster dots: more traffic. Diamonds are errors. <kbd>←</kbd> <kbd>→</kbd> go along
        edges, <kbd>Shift</kbd> with an arrow pans, <kbd>+</kbd> <kbd>-</kbd> zoom, <kbd>0</kbd> shows all,{" "}
        <kbd>Enter</kbd> opens.
      </p>
    </section>
  );
}
