// Upgrades, in labs under load, the meshes of docs/rollout-proofs.md for which a simulation is not enough. Together
// they have every installer and every kind of gateway. The first upgrade of each mesh is rolled back after half of its
// steps, and the second one runs to its end.
//   npm run e2e:matrix [-- --only demo,helm] [-- --json]
import { kubectls } from "../../test/support/kubectls.ts";
import { isWithinLab, runThisScriptWithLab } from "../lab/run-with-lab.ts";
import { scriptArguments } from "../arguments/script-arguments.ts";
import { labMeshes } from "./upgrade-matrix/lab-meshes.ts";
import { MeshPlay, type PlayedMesh } from "./upgrade-matrix/play-mesh.ts";

const help = `npm run e2e:matrix [-- options]
  --only MESHES          the meshes to upgrade, separated by commas (default: all)
  --json                 print one JSON object as the last line
meshes:
${labMeshes.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join("\n")}
`;
const { values: flags } = scriptArguments(
  { command: "npm run e2e:matrix --", help },
  { only: { type: "string", default: "" }, json: { type: "boolean", default: false } },
);

function note(text: string): void {
  process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${text}\n`);
}

async function main(): Promise<number> {
  const wanted = flags.only.split(",").filter((name) => name !== "");
  const unknown = wanted.find((name) => labMeshes.every((mesh) => mesh.name !== name));
  if (unknown !== undefined)
    throw new Error(`--only ${unknown}: expected ${labMeshes.map(({ name }) => name).join(", ")}`);
  const [kubectl] = kubectls().slice(-1);
  if (kubectl === undefined) throw new Error("there is no kubectl: scripts/fetch/kubectls.sh downloads it");
  const played: PlayedMesh[] = [];
  for (const mesh of labMeshes.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const one = await new MeshPlay(mesh, kubectl, note).play();
    played.push(one);
    const { name, requests, failed, seconds, steps, problem } = one;
    const counts = `${requests} requests, ${failed} failed, ${seconds} s`;
    note(
      problem === undefined ? `ok      ${name}: ${steps} steps; ${counts}` : `FAILED  ${name}: ${problem}; ${counts}`,
    );
  }
  const sum = (value: (one: PlayedMesh) => number): number => played.reduce((total, one) => total + value(one), 0);
  const summary = {
    ok: played.every(({ problem, failed }) => problem === undefined && failed === 0),
    meshes: played.length,
    failed: played.filter(({ problem }) => problem !== undefined).length,
    requests: sum(({ requests }) => requests),
    requestsFailed: sum(({ failed }) => failed),
  };
  note(
    `${summary.meshes} meshes, ${summary.failed} failed; ${summary.requests} requests, ${summary.requestsFailed} failed`,
  );
  if (flags.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.ok ? 0 : 1;
}

process.exitCode = isWithinLab ? await main() : await runThisScriptWithLab();
