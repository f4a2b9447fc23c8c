package wire

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fill gives every field of what x points to a value of its own.
func fill(t *testing.T, x any) {
	t.Helper()
	v := reflect.ValueOf(x).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("text " + strconv.Itoa(i))
		case reflect.Int32, reflect.Int64:
			f.SetInt(int64(i) + 1)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"a", "b"}))
		default:
			t.Fatalf("a field of the kind %s", f.Kind())
		}
	}
}

// TestPayloadsOfPeopleSurviveProtobuf shows that the schema has every field of what is encoded with encoding/json alone.
func TestPayloadsOfPeopleSurviveProtobuf(t *testing.T) {
	for command, payload := range map[Command]any{
		FriendAdd: &FriendAdded{}, FriendUpdate: &FriendUpdated{}, FriendDelete: &FriendChanged{}, FriendRequest: &FriendRequested{},
		FriendRequestRead: &FriendsChanged{}, FriendRequestApprove: &FriendRequestDecided{}, FriendBlackAdd: &FriendChanged{},
		FriendBlackDelete: &FriendChanged{}, FriendGroupAdd: &FriendGroupChanged{}, FriendGroupDelete: &FriendGroupChanged{},
		FriendGroupMemberAdd: &FriendGroupMembers{}, FriendGroupMemberDelete: &FriendGroupMembers{}, FriendAllDelete: &FriendsChanged{},
		UserModify: &UserModified{}, JoinGroup: &JoinRequest{},
	} {
		t.Run(command.String(), func(t *testing.T) {
			fill(t, payload)
			text, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			message, err := AppendProtoDown(nil, command, text)
			if err != nil {
				t.Fatal(err)
			}
			back, err := DownFromProto(command, message)
			if err != nil {
				t.Fatal(err)
			}
			got := reflect.New(reflect.TypeOf(payload).Elem()).Interface()
			if err := json.Unmarshal(back, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(payload, got); diff != "" {
				t.Errorf("%s came back as %s (-want +got):\n%s", text, back, diff)
			}
		})
	}
}
