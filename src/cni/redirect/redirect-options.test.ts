import assert from "node:assert/strict";
import { test } from "node:test";
import { adaptToUsers, describeRedirect, planRedirect, readRedirectCommand } from "./index.ts";

test("unsupported flags are rejected, and the error names them", () => {
  assert.throws(() => readRedirectCommand(["-m", "TPROXY", "-t", "7"], {}, ""), /-t 7 is not supported: .* set 1337/);
  assert.throws(() => readRedirectCommand(["-m", "TPROXY", "-r", "9"], {}, ""), /-r 9 is not supported: .* set 133$/);
  assert.throws(() => readRedirectCommand(["-m", "MAGIC"], {}, ""), /-m\) must be REDIRECT, TPROXY or NONE/);
  assert.throws(() => readRedirectCommand(["-d", "http"], {}, ""), /-d must be a port from 0 to 65535, got "http"/);
  assert.throws(() => readRedirectCommand(["-i", "10.0.0.0"], {}, ""), /-i must be IP ranges/);
  assert.throws(() => readRedirectCommand(["--nonsense"], {}, ""), /Unknown option '--nonsense'/);
});

test("upstream's long flags and variables equal its short ones", () => {
  const { options } = readRedirectCommand(
    ["--envoy-port", "16001", "--istio-inbound-ports=80,443"],
    { ISTIO_META_DNS_CAPTURE: "true" },
    "nameserver 10.0.0.1\nnameserver fd00::1\n",
  );
  assert.deepEqual(
    [options.outboundPort, options.inboundPorts, options.dnsServers],
    [16_001, [80, 443], ["10.0.0.1", "fd00::1"]],
  );
});

test("if the proxy's user does not exist, its streams to the control plane pass by port", () => {
  const { options } = readRedirectCommand(["-u", "1337"], {}, "");
  assert.deepEqual(adaptToUsers(options, "         0     100000      65536\n").excludedOutboundPorts, []);
  assert.deepEqual(adaptToUsers(options, "         0      54321          1\n").excludedOutboundPorts, [15_012, 15_010]);
});

test("ranges of both families are redirected, exclusions come first, and a mode is required", () => {
  const { options } = readRedirectCommand(["-i", "10.0.0.0/8,fd00::/8", "-x", "10.1.0.0/16", "-u", "1337"], {}, "");
  const lines = describeRedirect(planRedirect(options))
    .split("\n")
    .map((line) => line.trim());
  const at = (line: string): number => lines.indexOf(line);
  assert.ok(at("ip daddr 10.1.0.0/16 accept") > 0);
  assert.ok(at("ip daddr 10.1.0.0/16 accept") < at("ip daddr 10.0.0.0/8 meta l4proto tcp redirect to :15001"));
  assert.ok(at("ip6 daddr fd00::/8 meta l4proto tcp redirect to :15001") > 0);
  assert.ok(at("meta skuid 1337 accept") > 0);
  assert.deepEqual(planRedirect(readRedirectCommand(["-m", "NONE"], {}, "").options), []);
});

test("TPROXY intercepts inbound connections by mark, and redirects outbound ones as REDIRECT does", () => {
  const written = (mode: string): string[] =>
    describeRedirect(
      planRedirect(
        readRedirectCommand(["-m", mode, "-b", "*", "-d", "15020", "-i", "*", "-c", "eth1"], {}, "").options,
      ),
    )
      .split("\n")
      .map((line) => line.trim());
  const lines = written("TPROXY");
  const chain = (name: string): string[] => {
    const first = lines.indexOf(`chain ${name} {`);
    return lines.slice(first + 1, lines.indexOf("}", first));
  };
  const set = (what: string): string => `${what} mark set ${what} mark and 0xfffff000 or 0x539 accept`;
  assert.deepEqual(lines.slice(0, 2), [
    "# ip rule add fwmark 0x539/0xfff lookup 133",
    "# ip route add local default dev lo table 133",
  ]);
  assert.deepEqual(chain("mark-prerouting"), [
    "type filter hook prerouting priority -150;",
    'iifname "eth1" accept',
    `iifname "lo" meta l4proto tcp meta mark and 0xfff == 0x539 ${set("ct")}`,
    'iifname "lo" accept',
    "meta l4proto tcp th dport 15008 accept",
    "meta l4proto tcp th dport 15020 accept",
    `meta l4proto tcp ct direction original tproxy to :15006 ${set("meta")}`,
    "meta l4proto tcp ct direction original drop",
    `meta l4proto tcp tcp flags & (fin | syn | rst | ack) == syn tproxy to :15006 ${set("meta")}`,
    "meta l4proto tcp tcp flags & (fin | syn | rst | ack) == syn drop",
  ]);
  assert.deepEqual(chain("mark-output"), [
    "type route hook output priority -150;",
    'oifname "eth1" accept',
    `meta l4proto tcp ct mark and 0xfff == 0x539 ${set("meta")}`,
  ]);
  assert.deepEqual(chain("prerouting"), ["type nat hook prerouting priority -100;", 'iifname "eth1" accept']);
  const redirected = written("REDIRECT");
  const output = redirected.slice(redirected.indexOf("chain output {") + 1, -3);
  assert.deepEqual(
    chain("output").filter((line) => line !== "meta mark and 0xfff == 0x539 accept"),
    output.map((line) => line.replace("0x539", "0x53a")),
  );
  assert.ok(!redirected.includes("chain mark-prerouting {"));
});

test("the variable of the DNS capture is read like the sidecar reads it", () => {
  const capture = (value: string) =>
    readRedirectCommand([], { ISTIO_META_DNS_CAPTURE: value }, "nameserver 10.96.0.10").options;
  assert.deepEqual(capture("1"), capture("true"));
  assert.notDeepEqual(capture("false"), capture("true"));
  assert.throws(() => capture("maybe"), /ISTIO_META_DNS_CAPTURE must be true or false, got "maybe"/);
});

test("lists of a pod's author do not fill the agent's memory by their product, nor its log by their length", () => {
  const interfaces = "a,".repeat(200_000);
  const ranges = "1.0.0.0/8,".repeat(50_000);
  const ports = "80,".repeat(300_000);
  for (const args of [
    ["-k", interfaces, "-i", ranges],
    ["-k", interfaces, "-i", "*"],
    ["-c", interfaces],
    ["-x", ranges],
    ["-b", ports],
    ["-m", "TPROXY", "-b", ports],
    ["-m", "TPROXY", "-b", "*", "-k", interfaces],
    ["-u", ports],
  ])
    assert.throws(
      () => planRedirect(readRedirectCommand(args, {}, "").options),
      /more than 4096 rules/,
      args.join(" ").slice(0, 40),
    );
  for (const args of [["-u", `${ports}x`], ["-i", "x".repeat(1 << 20)], ["-m", ports], [`--${"x".repeat(1 << 20)}`]])
    assert.throws(
      () => readRedirectCommand(args, {}, ""),
      ({ message }: Error) => message.length < 600,
    );
});
