import { Lazy } from "../components/index.ts";
import { Fragment, type JSX } from "preact";
import type { RolloutCheck, RolloutHead } from "../../../api/dashboard/index.ts";
import { linkTo } from "../router.ts";

/** Charts of both versions over time, with the bound of a check that has the same measure. */
export function RolloutSeries({
  head,
  checks,
}: {
  readonly head: RolloutHead;
  readonly checks: Readonly<Record<string, RolloutCheck>>;
}): JSX.Element {
  // The share in a check of the type `request-share` is not one of errors, so it does not belong to this chart.
  const bound = (unit: "share" | "ms"): number | undefined =>
    Object.values(checks).find(
      ({ type, comparison }) => type !== "request-share" && comparison?.unit === unit && comparison.bound !== undefined,
    )?.comparison?.bound;
  return (
    <section class="card" aria-label="Both versions over time">
      <div class="card-head">
        <h2>Both versions</h2>
        <span class="muted small">
          canary: <Side backend={head.canaryBackend} workloads={head.canaryWorkloads} />; stable:{" "}
          <Side backend={head.stableBackend} workloads={head.stableWorkloads} />
        </span>
      </div>
      <Lazy
        load={async () => (await import("./series-charts.tsx")).SeriesCharts}
        height={420}
        given={{ head, errorBound: bound("share"), latencyBound: bound("ms") }}
      />
    </section>
  );
}

/** One of the compared versions, with links to its workloads: there, pods, logs and proxies show why a check fails. */
function Side({
  backend,
  workloads,
}: {
  readonly backend: string;
  readonly workloads: readonly string[];
}): JSX.Element {
  // The backend is this workload, so its text already has the name.
  const own = workloads.find((key) => backend === `workload ${key}`);
  if (own !== undefined) return <WorkloadLink of={own}>{backend}</WorkloadLink>;
  return (
    <>
      {backend}
      {workloads.map((key) => (
        <Fragment key={key}>
          {" "}
          <WorkloadLink of={key}>{key.split("/")[1]}</WorkloadLink>
        </Fragment>
      ))}
    </>
  );
}

function WorkloadLink({
  of: key,
  children,
}: {
  readonly of: string;
  readonly children?: string | undefined;
}): JSX.Element {
  return (
    <a href={linkTo(["workloads", ...key.split("/")])} title={`Workload ${key}`}>
      {children}
    </a>
  );
}
