import type { JSX } from "preact";
import type { RolloutCheck } from "../../../api/dashboard/index.ts";
import { Mark, Notice } from "../components/index.ts";
import { formatMs } from "../format.ts";

type Matrix = NonNullable<RolloutCheck["matrix"]>;
type Pair = Matrix["pairs"][number];

const endName = ({ revision, dataPlane }: Pair["from"]): string =>
  dataPlane === "none" ? "no mesh" : `${revision} ${dataPlane}`;
const tlsWords = { yes: "mTLS", no: "plain", mixed: "part plain", unknown: "mTLS?" } as const;

/** A table of clients (rows) and servers (columns). Texts below it describe failures. */
export function ProbeTable({ matrix }: { readonly matrix: Matrix }): JSX.Element {
  const { pairs } = matrix;
  const clients = [...new Set(pairs.map(({ from }) => endName(from)))];
  const servers = [...new Set(pairs.map(({ to }) => endName(to)))];
  const cells = new Map(pairs.map((pair) => [`${endName(pair.from)}\n${endName(pair.to)}`, pair]));
  const wrong = pairs.filter(({ problem }) => problem !== "");
  return (
    <div class="stack">
      <div class="table-scroll" tabIndex={0} role="region" aria-label="Probe matrix">
        <table class="probes">
          <caption class="visually-hidden">
            Probes from every kind of client (down) to every kind of server (across)
          </caption>
          <thead>
            <tr>
              <th scope="col">
                <span class="muted">client ↓ server →</span>
              </th>
              {servers.map((server) => (
                <th key={server} scope="col">
                  {server}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {clients.map((client) => (
              <tr key={client}>
                <th scope="row">{client}</th>
                {servers.map((server) => (
                  <Probe key={server} pair={cells.get(`${client}\n${server}`)} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {wrong.map((pair) => (
        <Notice key={`${endName(pair.from)}${endName(pair.to)}`} tone="bad">
          <strong>
            {endName(pair.from)} to {endName(pair.to)}:
          </strong>{" "}
          {pair.problem}
          {pair.lastError === "" ? "" : ` (${pair.lastError})`}
        </Notice>
      ))}
    </div>
  );
}

function Probe({ pair }: { readonly pair: Pair | undefined }): JSX.Element {
  if (pair === undefined) return <td class="muted">–</td>;
  const { ok, failed, expected, mutualTls, p50Ms, problem, clientIdentity, serverIdentity } = pair;
  if (ok + failed === 0) return <td class="muted">not yet</td>;
  return (
    <td
      title={[
        clientIdentity === "" ? "" : `client ${clientIdentity}`,
        serverIdentity === "" ? "" : `server ${serverIdentity}`,
      ]
        .filter((text) => text !== "")
        .join("\n")}
    >
      <Mark tone={problem !== "" ? "bad" : failed === 0 ? "good" : "warn"}>
        {failed === 0 ? String(ok) : `${ok} of ${ok + failed}`}
      </Mark>
      <div class="small muted">
        {expected === "refusal" ? "refused" : tlsWords[mutualTls]}
        {p50Ms === undefined ? "" : ` · ${formatMs(p50Ms)}`}
      </div>
    </td>
  );
}
