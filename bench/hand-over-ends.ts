// The other processes of the bench of hand-overs. The first argument selects one: a client, the application behind the
// ztunnel, or the control plane of the gateways.
const [role, ...words] = process.argv.slice(2);
// End with the bench.
process.on("disconnect", () => process.exit());
if (role === "client") await (await import("./hand-over/connect-client.ts")).runClient(words);
else if (role === "application") await (await import("./hand-over/echo-server.ts")).runEchoServer(Number(words[0]));
else if (role === "control-plane") await (await import("./hand-over/gateway-control-plane.ts")).runControlPlane();
else throw new Error(`there is no role ${role}`);
