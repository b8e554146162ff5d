// SPDX-License-Identifier: Apache-2.0
// A few commands of nats (github.com/nats-io/natscli) by @nats-io/transport-node: with the same arguments and words, so that a test
// runs the same lines with both. The servers, the CA file and the file with the seed are in the environment, as nats has them.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { fromSeed } from "@nats-io/nkeys";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";

const { values: flag, positionals: [verb, subject, body = ""] } = parseArgs({
  allowPositionals: true,
  options: {
    header: { type: "string", short: "H", multiple: true, default: [] },
    "inbox-prefix": { type: "string" },
    "reply-timeout": { type: "string" }, // maxWait is for all of an answer
    reply: { type: "string" },
    wait: { type: "string" },
    "wait-for-empty": { type: "boolean" },
  },
});
const limit = 10_000;

const seed = new TextEncoder().encode(readFileSync(process.env.NATS_NKEY, "utf8").trim());
const nc = await connect({
  servers: process.env.NATS_URL.split(","),
  tls: { caFile: process.env.NATS_CA },
  authenticator: nkeyAuthenticator(seed),
  inboxPrefix: flag["inbox-prefix"] ?? `_INBOX.${fromSeed(seed).getPublicKey()}`,
});

function fail(error) {
  console.error(`nats: error: ${error}`);
  process.exitCode = 1;
}

// What the server says beside answers: a refusal, or that the connection is lost.
const told = (async () => {
  for await (const s of nc.status()) {
    if (s.type !== "close") console.error(`>>> ${s.type}: ${s.error ?? s.server ?? ""}`);
    if (s.type === "error") fail(s.error);
  }
})();

function print(m) {
  console.log(`Received on "${m.subject}"`);
  for (const key of m.headers?.keys() ?? []) console.log(`${key}: ${m.headers.get(key)}`);
  console.log(`\n${m.string()}`);
}

function given() {
  const h = headers();
  for (const line of flag.header) h.set(...line.split(/:\s*/, 2));
  return h;
}

const verbs = {
  pub: () => nc.publish(subject, body, { headers: given(), reply: flag.reply }),
  async sub() {
    const s = nc.subscribe(subject);
    if (flag.wait) setTimeout(() => s.unsubscribe(), parseFloat(flag.wait) * 1000);
    for await (const m of s) print(m);
  },
  async reply() {
    for await (const m of nc.subscribe(subject, { queue: "NATS-RPLY-22" })) {
      print(m);
      m.respond(body);
    }
  },
  async request() {
    if (!flag["wait-for-empty"]) return print(await nc.request(subject, body, { headers: given(), timeout: limit }));
    for await (const m of await nc.requestMany(subject, body, { strategy: "sentinel", maxWait: limit })) print(m);
  },
};

try {
  await verbs[verb]();
  await nc.flush(); // what was refused is told before the answer to this
} catch (error) {
  fail(error);
}
await nc.close();
await told;
