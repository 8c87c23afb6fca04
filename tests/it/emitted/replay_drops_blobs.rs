/// I5 no dangling reference: row missing.
///
/// It passes unless the known defect `replay-drops-blobs` is planted.
#[test]
fn i5_get_0fec628c() {
    use stormglass_scenarios::plan::Plan;
    use stormglass_scenarios::runner::{PlayOptions, play};
    let plan = r#"{
  "version": 1,
  "scenario": "restart",
  "seed": 0,
  "start_utc_ms": 1767225600000,
  "disk": {
    "sector_size_bytes": 512,
    "powersafe_overwrite": true,
    "quota_bytes": null
  },
  "protocol": "event-then-blobs",
  "mode": "blob-refs",
  "sweep_interval_ms": null,
  "sweep_batch": 10000,
  "snapshot_every": 100,
  "idle_ms": 300000,
  "steps": [
    {
      "id": 3,
      "client": 1,
      "do": {
        "create": {
          "who": {
            "tenant": 0,
            "entity": 0
          },
          "values": []
        }
      }
    },
    {
      "id": 5,
      "client": 1,
      "do": {
        "act": {
          "who": {
            "tenant": 0,
            "entity": 0
          },
          "action": "Write",
          "values": [
            [
              "system_prompt",
              {
                "text": {
                  "json_bytes": 1025,
                  "content": 0,
                  "alphabet": "plain"
                }
              }
            ]
          ]
        }
      }
    },
    {
      "id": 8,
      "client": 1,
      "do": {
        "get": {
          "who": {
            "tenant": 0,
            "entity": 0
          }
        }
      }
    }
  ],
  "faults": [
    {
      "effect": {
        "crash": {
          "power-loss": "none"
        }
      },
      "target": {
        "scope": "step 5/put",
        "op": "sync",
        "file": null
      },
      "when": {
        "nth": 1
      }
    }
  ]
}"#;
    let plan = Plan::from_json(plan).expect("a plan");
    let options = PlayOptions { keep_trace: false, checks: true };
    let played = play(&plan, options).expect("a world");
    let verdict = played.outcome.verdict;
    assert_eq!(verdict.exit_code(), 0, "{}", verdict.in_words());
    assert!(played.moved.is_empty(), "faults that never struck: {:?}", played.moved);
}
