-- The rows of the actors in the table `numbered`. What an actor has in a table lies together, as the migration tool
-- leaves it.

INSERT INTO actors (id, creator, passphrase)
SELECT id, 'user' || n || '@example.com', 'passphrase' FROM numbered;

INSERT INTO properties (id, name, value)
SELECT id, 'p-' || lpad(k::text, 2, '0'), 'value-' || n || repeat('v', 90)
FROM (SELECT n, id, generate_series(0, 17) AS k FROM numbered) AS own;

INSERT INTO properties (id, name, value)
SELECT id, unnest(ARRAY['email', 'externalUserId']), unnest(ARRAY['user' || n || '@example.com', 'external-' || n])
FROM numbered;

INSERT INTO property_lookup (lookup_key, property_name, actor_id)
SELECT encode(sha256(convert_to(name, 'UTF8') || '\x00'::bytea || convert_to(value, 'UTF8')), 'hex'), name, id
FROM properties WHERE name IN ('email', 'externalUserId');

INSERT INTO trusts (
    id, peerid, baseuri, type, relationship, secret, "desc",
    approved, peer_approved, verified, verification_token, created_at
)
SELECT
    id, 'peer-' || k, 'https://peer.example.com/', 'urn:actingweb:example.com:peer', 'friend', 'token-' || k || '-' || id,
    'a friend', true, true, true, 'verification', '2026-01-02Z'
FROM (SELECT id, generate_series(1, 2) AS k FROM numbered) AS own;

INSERT INTO peertrustees (id, peerid, baseuri, type, passphrase)
SELECT id, 'peer-1', 'https://peer.example.com/', 'urn:actingweb:example.com:peer', 'passphrase' FROM numbered;

INSERT INTO subscriptions (id, peerid, subid, granularity, target, seqnr, callback)
SELECT id, 'peer-1', 's-1', 'high', 'properties', 3, true FROM numbered;

INSERT INTO subscription_diffs (id, subid, seqnr, timestamp, diff)
SELECT id, 's-1', k, '2026-01-02Z', '{"changed": true}'
FROM (SELECT id, generate_series(1, 3) AS k FROM numbered) AS own;

INSERT INTO subscription_suspensions (id, target, subtarget, suspended_at)
SELECT id, 'properties', 'p-00', '2026-01-02Z' FROM numbered;

-- Two of the four end some day, one belongs to a chain.
INSERT INTO attributes (id, bucket, name, data, timestamp, ttl_timestamp)
SELECT
    id, 'sessions', 'n-' || k,
    CASE k WHEN 0 THEN jsonb_build_object('chain_id', 'chain-' || id) ELSE '{"state": "old", "tries": 1}' END,
    '2026-01-02Z', CASE WHEN k > 1 THEN 4000000000 + n END
FROM (SELECT n, id, generate_series(0, 3) AS k FROM numbered) AS own;
